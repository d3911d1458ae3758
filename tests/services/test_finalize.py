"""Finalize as a caller sees it: parts become a STORED file, once, and the answer can be had again."""

import contextlib
import hashlib

import pytest

from portal import exceptions
from portal.models import OutboxEvent
from portal.services import cleanup, finalize
from portal.services.claims import claim_session
from portal.services.files import delete_file
from portal.services.finalize import finalize_again, finalize_session
from portal.services.sessions import abort_session
from tests.samples import CHUNK, make_batch, open_session, pattern, ready_session, send_part, send_parts, store_file
from tests.services.situations import (
    counters,
    drift,
    event_types,
    let_lease_end,
    let_lifetime_end,
    session_row,
    stored_bytes,
)

DATA = pattern(2 * CHUNK + 7)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """A call does not wait for the work of others here, unless a test says so."""
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 0)


@contextlib.contextmanager
def all_taken(semaphore):
    """Others hold all there is; gives how many that are."""
    taken = 0
    while semaphore.acquire(blocking=False):
        taken += 1
    try:
        yield taken
    finally:
        semaphore.release(taken)


def test_all_parts_become_a_stored_file(ann, storage):
    batch = make_batch(ann)
    session = ready_session(ann, storage, DATA, batch=batch)
    file = finalize_session(session, storage=storage)
    row = session_row(session)
    assert (row.status, row.file_id, row.error, row.claim_token) == ("COMPLETE", file.pk, None, None)
    file.refresh_from_db()
    assert (file.status, file.size_bytes, file.error) == ("STORED", len(DATA), None)
    assert (file.sha256, file.storage_backend) == (hashlib.sha256(DATA).hexdigest(), "memory")
    assert file.stored_at is not None
    assert stored_bytes(storage, file) == DATA
    assert not storage.files["staging"]
    assert (counters(batch), event_types()) == ((1, 1, 0, 0), ["file.uploaded"])


def test_finalizing_again_gives_the_same_answer_and_neither_counts_nor_tells_twice(ann, storage):
    batch = make_batch(ann)
    session = ready_session(ann, storage, DATA, batch=batch)
    stale = session_row(session)
    file = finalize_session(session, storage=storage)
    for seen in (session, session_row(session), stale):
        again = finalize_session(seen, storage=storage)
        assert (again.pk, again.status, again.sha256) == (file.pk, "STORED", file.sha256)
    assert (counters(batch), event_types()) == ((1, 1, 0, 0), ["file.uploaded"])
    assert drift() == []


def test_missing_parts_are_named_and_the_session_stays_open(ann, storage):
    session = open_session(ann, storage, size=6 * CHUNK)
    for number in (1, 4):
        send_part(ann, storage, session, number, bytes(CHUNK))
    session.refresh_from_db()
    with pytest.raises(exceptions.MissingParts) as refused:
        finalize_session(session, storage=storage)
    assert refused.value.extra == {"missing_parts": [[2, 3], [5, 6]]}
    assert session_row(session).status == "IN_PROGRESS"
    for number in (2, 3, 5, 6):
        send_part(ann, storage, session, number, bytes(CHUNK))
    assert finalize_session(session_row(session), storage=storage).status == "STORED"


def test_a_session_without_any_part_is_missing_all(ann, storage):
    with pytest.raises(exceptions.MissingParts) as refused:
        finalize_session(open_session(ann, storage, size=2 * CHUNK), storage=storage)
    assert refused.value.extra == {"missing_parts": [[1, 2]]}


def test_parts_that_came_after_the_look_count(ann, storage):
    session = open_session(ann, storage, size=len(DATA))
    send_parts(ann, storage, session, DATA)
    assert session.completed_parts == 0  # as the caller saw it before
    assert finalize_session(session, storage=storage).status == "STORED"


def test_bytes_with_the_digest_that_was_declared_are_stored(ann, storage):
    digest = hashlib.sha256(DATA).hexdigest()
    assert store_file(ann, storage, DATA, sha256=digest).sha256 == digest


def test_bytes_without_the_digest_that_was_declared_fail_the_file_whenever_one_asks(ann, storage):
    batch = make_batch(ann)
    session = ready_session(ann, storage, DATA, sha256="0" * 64, batch=batch)
    for seen in (session, session_row(session), session_row(session)):
        with pytest.raises(exceptions.Sha256Mismatch):
            finalize_session(seen, storage=storage)
    row = session_row(session)
    assert (row.status, row.file.status, row.file.error["code"]) == ("FAILED", "FAILED", "sha256_mismatch")
    assert row.file.sha256 == ""
    assert (counters(batch), event_types()) == ((1, 0, 1, 0), ["file.failed"])
    assert OutboxEvent.objects.get().payload["error"]["code"] == "sha256_mismatch"
    assert not any(storage.files.values())
    assert row.bytes_removed


def test_an_aborted_session_is_closed(ann, storage):
    session = ready_session(ann, storage)
    stale = session_row(session)
    abort_session(session)
    for seen in (session, stale):
        with pytest.raises(exceptions.SessionClosed):
            finalize_session(seen, storage=storage)
    assert event_types() == ["file.failed"]


def test_an_expired_session_is_closed(ann, storage):
    session = let_lifetime_end(ready_session(ann, storage))
    cleanup.expire_sessions(storage=storage)
    with pytest.raises(exceptions.SessionClosed):
        finalize_session(session, storage=storage)


def test_a_file_that_was_deleted_is_not_found(ann, storage):
    file = store_file(ann, storage)
    session = file.sessions.get()
    delete_file(file, storage=storage)
    session.file = None
    with pytest.raises(exceptions.NotFound):
        finalize_session(session, storage=storage)


def test_a_session_that_somebody_else_finalizes_goes_on_without_the_caller(ann, storage):
    session = ready_session(ann, storage)
    claim_session(session_row(session))
    assert finalize_session(session, storage=storage) is None
    assert session_row(session).status == "FINALIZING"


def test_a_call_waits_a_moment_for_somebody_else_who_is_about_to_end(ann, storage, monkeypatch):
    session = ready_session(ann, storage)
    claim = claim_session(session_row(session))
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 60)
    monkeypatch.setattr(finalize.time, "sleep", lambda seconds: finalize.work_claim(claim, storage=storage))
    assert finalize_session(session, storage=storage).status == "STORED"
    assert event_types() == ["file.uploaded"]


def test_only_a_few_calls_wait_at_a_time(ann, storage, monkeypatch):
    session = ready_session(ann, storage)
    claim_session(session_row(session))
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 60)
    with all_taken(finalize._waiters):
        assert finalize_session(session, storage=storage) is None


def test_a_call_takes_up_what_somebody_who_died_has_left(ann, storage):
    session = ready_session(ann, storage)
    claim_session(session_row(session))
    assert finalize_session(session_row(session), storage=storage) is None
    let_lease_end(session)
    assert finalize_session(session_row(session), storage=storage).status == "STORED"


def test_a_file_that_is_too_large_to_wait_for_is_left_to_the_worker(ann, storage, monkeypatch, settings):
    monkeypatch.setattr(finalize, "QUICK_BYTES", 0)
    settings.PORTAL_FINALIZE_INLINE_BYTES = len(DATA) - 1
    session = ready_session(ann, storage, DATA)
    assert finalize_session(session, storage=storage) is None
    assert (session_row(session).status, storage.files["objects"]) == ("FINALIZING", {})
    assert finalize_session(session_row(session), storage=storage) is None
    assert finalize_again(storage=storage) == 1
    assert finalize_session(session_row(session), storage=storage).status == "STORED"


def test_a_large_file_is_finalized_inline_while_there_is_a_slot_for_it(ann, storage, monkeypatch, settings):
    monkeypatch.setattr(finalize, "QUICK_BYTES", 0)
    settings.PORTAL_FINALIZE_INLINE_BYTES = len(DATA)
    with all_taken(finalize._slots) as slots:
        assert finalize_session(ready_session(ann, storage, DATA), storage=storage) is None
    for _ in range(slots + 1):  # a slot is given back
        assert finalize_session(ready_session(ann, storage, DATA), storage=storage).status == "STORED"


def test_a_small_file_is_finalized_at_once_though_the_settings_leave_all_to_the_worker(ann, storage, settings):
    settings.PORTAL_FINALIZE_INLINE_BYTES = 0
    assert store_file(ann, storage, DATA).status == "STORED"

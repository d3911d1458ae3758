"""Clean-up of what has ended: sessions that were left alone, bytes of dead sessions, old idempotency keys."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from portal.models import IdempotencyKey, OutboxEvent, UploadSession
from portal.services import cleanup
from portal.services.claims import claim_session
from portal.services.cleanup import drop_old_idempotency_keys, expire_sessions, remove_bytes, remove_dead_bytes
from portal.services.sessions import abort_session
from portal.storage import base
from tests.samples import CHUNK, make_batch, open_session, ready_session, send_part, store_file
from tests.services.situations import (
    counters,
    drift,
    event_types,
    failing,
    just_before,
    let_lifetime_end,
    session_row,
    set_columns,
    stored_bytes,
)


def test_a_session_that_was_left_alone_expires_with_its_file(ann, storage):
    batch = make_batch(ann)
    session = let_lifetime_end(ready_session(ann, storage, batch=batch))
    assert expire_sessions(storage=storage) == 1
    row = session_row(session)
    assert (row.status, row.file.status, row.file.error["code"]) == ("EXPIRED", "FAILED", "expired")
    assert (counters(batch), event_types()) == ((1, 0, 1, 0), ["file.failed"])
    assert OutboxEvent.objects.get().payload["error"]["code"] == "expired"
    assert (storage.files["staging"], row.bytes_removed) == ({}, True)
    assert expire_sessions(storage=storage) == 0


def test_a_session_within_its_lifetime_stays(ann, storage):
    session = open_session(ann, storage)
    set_columns(session, expires_at=timezone.now() + timedelta(minutes=1))
    assert expire_sessions(storage=storage) == 0
    assert session_row(session).status == "INIT"
    assert session.staging_key in storage.files["staging"]


def test_a_session_that_is_finalizing_or_has_ended_does_not_expire(ann, storage):
    finalizing = ready_session(ann, storage)
    claim_session(finalizing)
    aborted = open_session(ann, storage)
    abort_session(aborted)
    complete = store_file(ann, storage).sessions.get()
    for session in (finalizing, aborted, complete):
        let_lifetime_end(session)
    assert expire_sessions(storage=storage) == 0
    assert [session_row(session).status for session in (finalizing, aborted, complete)] == [
        "FINALIZING",
        "ABORTED",
        "COMPLETE",
    ]


def test_a_session_that_got_a_part_after_the_list_was_read_stays(ann, storage, monkeypatch):
    session = open_session(ann, storage, size=2 * CHUNK, batch=(batch := make_batch(ann)))
    send_part(ann, storage, session, 1, bytes(CHUNK))
    let_lifetime_end(session)
    # Of the same status as before, so that the condition on the time alone holds it back.
    just_before(monkeypatch, cleanup, "record_failed", lambda: send_part(ann, storage, session, 2, bytes(CHUNK)))
    assert expire_sessions(storage=storage) == 0
    row = session_row(session)
    assert (row.status, row.completed_parts, row.file.status) == ("IN_PROGRESS", 2, "UPLOADING")
    assert session.staging_key in storage.files["staging"]
    assert counters(batch) == (1, 0, 0, 1)


def test_as_many_sessions_expire_at_once_as_were_asked_for(ann, storage):
    for _ in range(3):
        let_lifetime_end(open_session(ann, storage))
    assert [expire_sessions(storage=storage, limit=2) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize("place", ["staging", "objects"])
def test_dead_bytes_are_removed_wherever_a_crash_left_them(ann, storage, place):
    session = ready_session(ann, storage)
    claim = claim_session(session)
    if place == "objects":
        with storage.hold(session.staging_key, session.object_key) as held:
            held.publish()
    assert len(storage.files[place]) == 1
    set_columns(claim.session, status="FAILED")
    assert remove_dead_bytes(storage=storage) == 1
    assert not any(storage.files.values())
    assert session_row(session).bytes_removed
    assert remove_dead_bytes(storage=storage) == 0


def test_however_many_are_dead_their_bytes_go_at_once(ann, storage, monkeypatch):
    monkeypatch.setattr(cleanup, "BLOCK", 2)
    for _ in range(5):
        abort_session(open_session(ann, storage))
    assert remove_dead_bytes(storage=storage) == 5
    assert not any(storage.files.values())


def test_a_fault_leaves_the_bytes_to_the_next_round_and_does_not_keep_the_others(ann, storage, monkeypatch):
    first, second = open_session(ann, storage), open_session(ann, storage)
    abort_session(first)
    abort_session(second)
    with monkeypatch.context() as broken:
        remove = storage.remove_staging
        refuse = failing(base.StorageUnavailable("gone"))
        pick = lambda key, upload: (refuse if key == first.staging_key else remove)(key)  # noqa: E731
        broken.setattr(storage, "remove_staging", pick)
        assert remove_dead_bytes(storage=storage) == 2
    assert list(storage.files["staging"]) == [first.staging_key]
    assert not session_row(first).bytes_removed
    assert remove_dead_bytes(storage=storage) == 1
    assert not storage.files["staging"]


def test_a_storage_that_is_away_is_asked_once_for_each_dead_session(ann, storage, monkeypatch):
    monkeypatch.setattr(cleanup, "BLOCK", 2)
    monkeypatch.setattr(storage, "remove_staging", failing(base.StorageUnavailable("gone")))
    for _ in range(5):
        abort_session(open_session(ann, storage))
    assert remove_dead_bytes(storage=storage) == 5


def test_once_a_stop_is_asked_for_no_more_bytes_are_removed(ann, storage):
    for _ in range(3):
        abort_session(open_session(ann, storage))
    answers = [False, False, True]
    assert remove_dead_bytes(storage=storage, stopped=lambda: answers.pop(0)) == 2
    assert len(storage.files["staging"]) == 1


@pytest.mark.parametrize("status", ["INIT", "IN_PROGRESS", "FINALIZING", "COMPLETE"])
def test_nothing_is_removed_of_a_session_that_its_row_does_not_call_dead(ann, storage, status):
    file = store_file(ann, storage)
    session = set_columns(file.sessions.get(), status=status)
    session.status = "ABORTED"  # whatever the caller believes
    remove_bytes(session, storage=storage)
    assert remove_dead_bytes(storage=storage) == 0
    assert stored_bytes(storage, file) == b"data"


def test_a_file_that_is_open_again_keeps_its_new_bytes_while_the_old_ones_go(ann, storage):
    batch = make_batch(ann)
    old = ready_session(ann, storage, b"old", batch=batch, path="a")
    abort_session(old)
    new = ready_session(ann, storage, b"new!", batch=batch, path="a")
    assert remove_dead_bytes(storage=storage) == 1
    assert list(storage.files["staging"]) == [new.staging_key]
    assert drift() == []


def test_the_session_of_a_deleted_file_goes_after_its_bytes(ann, storage):
    session = store_file(ann, storage).sessions.get()
    set_columns(session, file=None)
    assert remove_dead_bytes(storage=storage) == 1
    assert not UploadSession.objects.exists()
    assert not any(storage.files.values())


def make_key(caller, name, hours):
    """Make an idempotency key that is so old."""
    row = IdempotencyKey.objects.create(
        owner=caller.user, key=name, fingerprint="f", claim_token=uuid4(), lease_until=timezone.now()
    )
    IdempotencyKey.objects.filter(pk=row.pk).update(created_at=Now() - timedelta(hours=hours))


def test_idempotency_keys_are_dropped_after_48_hours(ann):
    for name, hours in (("new", 0), ("a day", 25), ("kept", 47.9), ("old", 48.1)):
        make_key(ann, name, hours)
    assert drop_old_idempotency_keys() == 1
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"new", "a day", "kept"}
    assert drop_old_idempotency_keys() == 0

"""The work on a claim: faults are waited out, damaged bytes are kept as evidence, crashes are finished by others."""

import pytest
from django.utils import timezone

from portal import exceptions
from portal.models import UploadPart
from portal.services import assemble, finalize
from portal.services.claims import claim_session
from portal.services.finalize import finalize_again, finalize_session
from portal.storage import base
from tests.samples import CHUNK, make_batch, pattern, ready_session
from tests.services.situations import (
    counters,
    drift,
    event_types,
    failing,
    let_lease_end,
    let_lifetime_end,
    session_row,
    stored_bytes,
)
from tests.strict import in_transaction

DATA = pattern(2 * CHUNK + 7)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """No call waits for the work of others here."""
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 0)


@pytest.fixture
def session(ann, storage):
    """A session with all its parts, in a batch."""
    return ready_session(ann, storage, DATA, batch=make_batch(ann))


def lease_seconds(session):
    """Return how long nobody may take the session up."""
    return (session_row(session).lease_until - timezone.now()).total_seconds()


def outcome(session):
    """Return `(session status, file status, error code)` as the rows say now."""
    row = session_row(session)
    return row.status, row.file.status, (row.file.error or {}).get("code")


def test_the_destination_is_in_the_row_before_any_byte_moves(session, storage, monkeypatch):
    hold, seen = storage.hold, []

    def look_first(staging_key, object_key, **options):
        row = session_row(session)
        seen.append((row.status, row.object_key == object_key, in_transaction()))
        return hold(staging_key, object_key, **options)

    monkeypatch.setattr(storage, "hold", look_first)
    finalize_session(session, storage=storage)
    assert seen == [("FINALIZING", True, False)]


def test_the_lock_on_the_file_is_kept_until_the_outcome_is_known(session, storage, monkeypatch):
    record_stored, held = assemble.record_stored, []

    def look_first(*args, **options):
        result = record_stored(*args, **options)
        held.extend(file.locks for file in storage.files["objects"].values())
        held[:] = [dict(locks) for locks in held]
        return result

    monkeypatch.setattr(assemble, "record_stored", look_first)
    finalize_session(session, storage=storage)
    assert [len(locks) for locks in held] == [1]
    assert [file.locks for file in storage.files["objects"].values()] == [{}]


@pytest.mark.parametrize("fault", [base.StorageUnavailable("gone"), base.NoSpace("full")])
def test_a_fault_of_the_storage_is_tried_again_later_and_less_and_less_often(session, storage, monkeypatch, fault):
    with monkeypatch.context() as broken:
        broken.setattr(storage, "hold", failing(fault))
        assert finalize_session(session, storage=storage) is None
        for attempt in range(1, 13):
            assert session_row(session).attempts == attempt
            wait = min(2 ** (attempt - 1), 600)
            assert wait - 30 < lease_seconds(session) <= wait
            assert wait < 60 or finalize_again(storage=storage) == 0
            let_lease_end(session)
            assert finalize_again(storage=storage) == 1
    assert outcome(session) == ("FINALIZING", "UPLOADING", None)
    let_lease_end(session)
    assert finalize_again(storage=storage) == 1
    assert outcome(session) == ("COMPLETE", "STORED", None)
    assert event_types() == ["file.uploaded"]


def test_a_fault_that_outlives_the_session_fails_the_file(session, storage, monkeypatch):
    monkeypatch.setattr(storage, "hold", failing(base.StorageUnavailable("gone")))
    finalize_session(session, storage=storage)
    let_lease_end(let_lifetime_end(session))
    assert finalize_again(storage=storage) == 1
    assert outcome(session) == ("FAILED", "FAILED", "storage_error")
    with pytest.raises(exceptions.StorageError):
        finalize_session(session_row(session), storage=storage)
    assert (counters(session.file.batch), event_types()) == ((1, 0, 1, 0), ["file.failed"])


def test_a_range_that_is_still_held_is_tried_again_soon_and_is_no_failed_attempt(session, storage):
    with storage.open_part(session.staging_key, offset=0, length=CHUNK) as writer:
        assert writer.try_lock()
        assert finalize_session(session, storage=storage) is None
    row = session_row(session)
    assert (row.status, row.attempts) == ("FINALIZING", 0)
    assert lease_seconds(session) <= 1
    let_lease_end(session)
    assert finalize_again(storage=storage) == 1
    assert outcome(session) == ("COMPLETE", "STORED", None)


def flip_a_bit(storage, session):
    storage.files["staging"][session.staging_key].data[CHUNK + 5] ^= 1


def cut_off(storage, session):
    del storage.files["staging"][session.staging_key].data[-1:]


def append(storage, session):
    storage.files["staging"][session.staging_key].data.append(0)


def lose_a_row(storage, session):
    UploadPart.objects.filter(session=session, number=2).delete()


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, append, lose_a_row])
def test_damaged_bytes_fail_the_file_and_are_kept_in_the_trash(session, storage, damage):
    damage(storage, session)
    evidence = bytes(storage.files["staging"][session.staging_key].data)
    for seen in (session, session_row(session)):
        with pytest.raises(exceptions.BytesDamaged):
            finalize_session(seen, storage=storage)
    assert outcome(session) == ("FAILED", "FAILED", "bytes_damaged")
    assert (storage.files["staging"], storage.files["objects"]) == ({}, {})
    assert [bytes(file.data) for file in storage.files["trash"].values()] == [evidence]
    assert (counters(session.file.batch), event_types()) == ((1, 0, 1, 0), ["file.failed"])


def test_damage_raises_an_alarm(session, storage, caplog):
    flip_a_bit(storage, session)
    with pytest.raises(exceptions.BytesDamaged):
        finalize_session(session, storage=storage)
    assert [record.levelname for record in caplog.records if str(session.pk) in record.getMessage()] == ["CRITICAL"]


def test_bytes_at_neither_place_are_looked_for_again_before_the_file_is_damaged(session, storage):
    storage.remove_staging(session.staging_key)
    assert finalize_session(session, storage=storage) is None
    for _ in range(assemble.LOST_AFTER_ATTEMPTS - 2):
        let_lease_end(session)
        assert finalize_again(storage=storage) == 1
        assert outcome(session) == ("FINALIZING", "UPLOADING", None)
    let_lease_end(session)
    assert finalize_again(storage=storage) == 1
    assert outcome(session) == ("FAILED", "FAILED", "bytes_damaged")


def test_the_lease_is_kept_up_while_the_bytes_are_read(session, storage):
    claim = claim_session(session)
    claim._renew_at = 0
    assemble.work_claim(claim, storage=storage)
    assert claim._renew_at > 0


def test_a_zero_byte_file_that_is_no_longer_there_is_not_stored(ann, storage):
    session = ready_session(ann, storage, b"")
    storage.remove_staging(session.staging_key)
    assert finalize_session(session, storage=storage) is None
    assert outcome(session) == ("FINALIZING", "UPLOADING", None)


def test_what_was_stored_is_what_was_sent(session, storage):
    file = finalize_session(session, storage=storage)
    assert stored_bytes(storage, file) == DATA
    assert drift() == []

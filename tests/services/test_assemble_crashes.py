"""A finalizer that died, or lost its claim: others finish, nothing is deleted, nothing is told twice."""

import pytest
from django.db import OperationalError

from portal.services import assemble, finalize
from portal.services.claims import claim_session, take_over
from portal.services.finalize import finalize_again, finalize_session
from tests.samples import CHUNK, make_batch, pattern, ready_session
from tests.services.situations import (
    counters,
    drift,
    event_types,
    failing,
    just_before,
    let_lease_end,
    session_row,
    set_columns,
    stored_bytes,
)

DATA = pattern(2 * CHUNK + 7)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """No call waits for the work of others here."""
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 0)


@pytest.fixture
def session(ann, storage):
    """A session with all its parts, in a batch."""
    return ready_session(ann, storage, DATA, batch=make_batch(ann))


def finished_once(session, storage):
    """Whether the file is STORED with its bytes, counted once and told once."""
    file = session_row(session).file
    return (
        (file.status, counters(file.batch), event_types()) == ("STORED", (1, 1, 0, 0), ["file.uploaded"])
        and stored_bytes(storage, file) == DATA
        and drift() == []
    )


@pytest.mark.parametrize("step", ["_verify", "record_stored"])
def test_a_crash_is_finished_by_somebody_else_once_the_lease_has_run_out(session, storage, monkeypatch, step):
    with monkeypatch.context() as dying:
        dying.setattr(assemble, step, failing(Killed()))
        with pytest.raises(Killed):
            finalize_session(session, storage=storage)
    # After the rename, the bytes are at their destination before any row says that the file is stored.
    assert bool(storage.files["objects"]) == (step == "record_stored")
    assert session_row(session).file.status == "UPLOADING"
    assert finalize_again(storage=storage) == 0
    let_lease_end(session)
    assert finalize_again(storage=storage) == 1
    assert finished_once(session, storage)


def test_a_crash_before_the_bytes_are_touched_is_finished_too(session, storage, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(storage, "hold", failing(Killed()))
        with pytest.raises(Killed):
            finalize_session(session, storage=storage)
    let_lease_end(session)
    assert finalize_session(session_row(session), storage=storage).status == "STORED"
    assert finished_once(session, storage)


def lose_claim(session):
    """Return an action: the lease runs out, and somebody else takes the claim."""

    def lose():
        let_lease_end(session_row(session))
        assert take_over(session_row(session))

    return lose


@pytest.mark.parametrize("step", ["_verify", "record_stored"])
def test_a_finalizer_that_lost_its_claim_publishes_nothing_and_deletes_nothing(session, storage, monkeypatch, step):
    just_before(monkeypatch, assemble, step, lose_claim(session))
    assemble.work_claim(claim_session(session), storage=storage)
    row = session_row(session)
    assert (row.status, row.file.status, event_types()) == ("FINALIZING", "UPLOADING", [])
    assert [bytes(file.data) for kind in storage.files.values() for file in kind.values()] == [DATA]
    let_lease_end(session)
    assert finalize_again(storage=storage) == 1
    assert finished_once(session, storage)


@pytest.mark.parametrize("why", ["declared_sha256", "damage"])
def test_a_finalizer_that_lost_its_claim_fails_nothing_and_deletes_nothing(session, storage, monkeypatch, why):
    if why == "damage":
        storage.files["staging"][session.staging_key].data[0] ^= 1
    else:
        set_columns(session, declared_sha256="0" * 64)
    just_before(monkeypatch, assemble, "record_failed", lose_claim(session))
    assemble.work_claim(claim_session(session), storage=storage)
    row = session_row(session)
    assert (row.status, row.file.status, event_types()) == ("FINALIZING", "UPLOADING", [])
    assert session.staging_key in storage.files["staging"]


def test_a_finalizer_that_lost_its_claim_does_not_put_off_the_new_one(session, storage, monkeypatch):
    just_before(monkeypatch, storage, "hold", lose_claim(session))
    storage.remove_staging(session.staging_key)
    assemble.work_claim(claim_session(session), storage=storage)
    assert session_row(session).attempts == 0


def test_a_claim_that_is_lost_while_the_bytes_are_read_ends_the_reading(session, storage, monkeypatch):
    claim = claim_session(session)
    lose_claim(session)()
    claim._renew_at = 0
    assemble.work_claim(claim, storage=storage)
    assert (session_row(session).status, storage.files["objects"]) == ("FINALIZING", {})


def test_somebody_who_was_only_slow_and_somebody_who_took_over_publish_once(session, storage, monkeypatch):
    # The slow one has moved the bytes already when the other one takes over and finishes.
    slow = claim_session(session)

    def finish_first():
        let_lease_end(session_row(session))
        for file in storage.files["objects"].values():
            file.locks.clear()  # as if the slow one's host had been cut off
        assert finalize_again(storage=storage) == 1

    just_before(monkeypatch, assemble, "record_stored", finish_first)
    assemble.work_claim(slow, storage=storage)
    assert finished_once(session, storage)


@pytest.mark.django_db(transaction=True)
def test_an_outcome_whose_commit_landed_without_an_answer_is_answered(session, storage, monkeypatch):
    record_stored = assemble.record_stored

    def answer_lost(*args, **options):
        record_stored(*args, **options)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(assemble, "record_stored", answer_lost)
    assert finalize_session(session, storage=storage).status == "STORED"
    assert finished_once(session, storage)


@pytest.mark.django_db(transaction=True)
def test_an_outcome_whose_commit_did_not_land_is_published_later(session, storage, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(assemble, "record_stored", failing(OperationalError("server closed the connection")))
        with pytest.raises(OperationalError):
            finalize_session(session, storage=storage)
    assert session_row(session).file.status == "UPLOADING"
    let_lease_end(session)
    assert finalize_again(storage=storage) == 1
    assert finished_once(session, storage)

"""The worker: does what is due, lives through faults, and tells what a round of clean-up did."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone

from portal.models import IdempotencyKey, OutboxEvent, Recount
from portal.services import cleanup, finalize, worker
from portal.services.claims import claim_session
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from portal.services.worker import Done, Worker, clean_up
from portal.storage import base
from tests.samples import CHUNK, make_batch, open_session, ready_session, store_file
from tests.services.situations import (
    counters,
    drift,
    failing,
    let_lease_end,
    let_lifetime_end,
    make_old,
    session_row,
)


@pytest.fixture(autouse=True)
def _connections_stay_open(monkeypatch):
    """A round closes connections that are old or broken; that of the test holds its transaction."""
    monkeypatch.setattr(worker, "close_old_connections", lambda: None)
    monkeypatch.setattr(worker.connections, "close_all", lambda: None)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    """The worker's clock."""
    return Clock()


@pytest.fixture
def ours(storage, clock):
    """A worker that nobody stops."""
    return Worker(storage=storage, stopped=lambda seconds: False, now=clock)


def left_to_the_worker(caller, storage, monkeypatch, **fields):
    """Return a session whose finalize waits for the worker."""
    with monkeypatch.context() as impatient:
        impatient.setattr(finalize, "WAIT_SECONDS", 0)
        impatient.setattr(finalize, "QUICK_BYTES", 0)
        impatient.setattr(finalize.settings, "PORTAL_FINALIZE_INLINE_BYTES", 0)
        session = ready_session(caller, storage, **fields)
        assert finalize_session(session, storage=storage) is None
    return session


def test_a_round_of_clean_up_tells_what_it_did(ann, storage, monkeypatch):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    for _ in range(2):
        let_lifetime_end(open_session(ann, storage, batch=batch))
    left_to_the_worker(ann, storage, monkeypatch, batch=batch)
    let_lease_end(claim_session(ready_session(ann, storage, batch=batch)).session)
    abort_session(open_session(ann, storage, batch=batch))
    unnamed = f"00/{uuid4().hex}"
    storage.create_staging(unnamed)
    make_old(storage, "staging", unnamed)
    key = {"owner": ann.user, "key": "k", "fingerprint": "f", "claim_token": uuid4(), "lease_until": timezone.now()}
    IdempotencyKey.objects.create(**key)
    IdempotencyKey.objects.update(created_at=Now() - timedelta(days=3))
    done = clean_up(storage=storage)
    assert done == Done(expired=2, finalized=2, removed=1, swept=1, keys_dropped=1)
    assert str(done) == "expired=2 finalized=2 removed=1 swept=1 keys_dropped=1 deliveries_dropped=0"
    assert counters(batch) == (6, 3, 3, 0)
    assert drift() == []
    assert clean_up(storage=storage) == Done()


def test_clean_up_goes_on_until_nothing_is_due(ann, storage, monkeypatch):
    expire = cleanup.expire_sessions
    monkeypatch.setattr(cleanup, "expire_sessions", lambda storage: expire(storage=storage, limit=1))
    for _ in range(3):
        let_lifetime_end(open_session(ann, storage))
        left_to_the_worker(ann, storage, monkeypatch)
    done = clean_up(storage=storage)
    assert (done.expired, done.finalized) == (3, 3)


def test_clean_up_names_each_step_as_it_begins(db, storage):
    steps = []
    clean_up(storage=storage, progress=steps.append)
    assert len(steps) == len(set(steps)) == 6
    without = []
    clean_up(storage=storage, sweep=False, progress=without.append)
    assert [step for step in steps if step not in without] == ["sweeping bytes that no row names"]


def test_a_round_takes_up_what_is_due(ann, storage, monkeypatch, ours):
    session = left_to_the_worker(ann, storage, monkeypatch)
    expired = let_lifetime_end(open_session(ann, storage))
    assert ours.round()
    assert session_row(session).status == "COMPLETE"
    assert session_row(expired).status == "EXPIRED"


def test_finalizes_are_looked_for_in_every_round_and_the_rest_now_and_then(ann, storage, monkeypatch, ours, clock):
    assert ours.round()
    session = left_to_the_worker(ann, storage, monkeypatch)
    expired = let_lifetime_end(open_session(ann, storage))
    clock.seconds += worker.EXPIRE_SECONDS - 1
    assert ours.round()
    assert (session_row(session).status, session_row(expired).status) == ("COMPLETE", "INIT")
    clock.seconds += 1
    assert ours.round()
    assert session_row(expired).status == "EXPIRED"


def test_unnamed_bytes_are_swept_each_hour(db, storage, ours, clock):
    ours.round()
    unnamed = f"00/{uuid4().hex}"
    storage.create_staging(unnamed)
    make_old(storage, "staging", unnamed)
    clock.seconds += worker.SWEEP_SECONDS - 1
    ours.round()
    assert unnamed in storage.files["staging"]
    clock.seconds += worker.EXPIRE_SECONDS
    ours.round()
    assert unnamed not in storage.files["staging"]


def test_a_fault_of_the_database_ends_the_round_and_the_next_one_does_the_work(ann, storage, monkeypatch, ours, clock):
    session = left_to_the_worker(ann, storage, monkeypatch)
    with monkeypatch.context() as broken:
        broken.setattr(worker, "finalize_again", failing(OperationalError("gone")))
        assert ours.round() is False
    assert ours.round()
    assert session_row(session).status == "COMPLETE"
    assert OutboxEvent.objects.count() == 1


@pytest.mark.parametrize("method", ["hold", "remove_staging", "old_keys"])
def test_a_fault_of_the_storage_is_lived_through_and_the_work_is_done_later(
    ann, storage, monkeypatch, ours, clock, method
):
    session = left_to_the_worker(ann, storage, monkeypatch)
    expired = let_lifetime_end(open_session(ann, storage))
    with monkeypatch.context() as broken:
        broken.setattr(storage, method, failing(base.StorageUnavailable("gone")))
        assert ours.round() == (method != "old_keys")
    if method == "hold":
        let_lease_end(session)
    clock.seconds += worker.SWEEP_SECONDS
    assert ours.round()
    assert (session_row(session).status, session_row(expired).status) == ("COMPLETE", "EXPIRED")
    assert not storage.files["staging"]
    assert drift() == []


def test_a_fault_in_clean_up_is_tried_again_though_the_sweep_waits_for_its_hour(ann, storage, monkeypatch, ours, clock):
    expired = let_lifetime_end(open_session(ann, storage))
    with monkeypatch.context() as broken:
        broken.setattr(cleanup, "expire_sessions", failing(OperationalError("gone")))
        assert ours.round() is False
    clock.seconds += worker.EXPIRE_SECONDS
    assert ours.round()
    assert session_row(expired).status == "EXPIRED"


def test_the_worker_waits_longer_after_each_fault_and_as_before_once_it_is_over(storage, monkeypatch, clock):
    pauses = []

    def stopped(seconds):
        pauses.append(seconds)
        return len(pauses) > 10

    ours = Worker(storage=storage, stopped=stopped, now=clock)
    monkeypatch.setattr(ours, "_work", lambda: None if len(pauses) == 9 else failing(OperationalError("gone"))())
    ours.run()
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 0.5, 1]


def test_what_is_no_fault_from_outside_ends_the_worker(storage, monkeypatch, ours):
    monkeypatch.setattr(ours, "_work", failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        ours.round()


def test_a_worker_that_is_told_to_stop_stops(storage, monkeypatch):
    ours = Worker(storage=storage, stopped=lambda seconds: True)
    monkeypatch.setattr(ours, "round", failing(AssertionError("went on")))
    ours.run()


def test_a_worker_that_is_told_to_stop_begins_no_further_step(ann, storage, monkeypatch, clock):
    first, second = (left_to_the_worker(ann, storage, monkeypatch) for _ in range(2))
    expired = let_lifetime_end(open_session(ann, storage))
    asked = []

    def stopped(seconds):
        asked.append(seconds)
        return len(asked) > 2

    Worker(storage=storage, stopped=stopped, now=clock).run()
    assert (session_row(first).status, session_row(second).status) == ("COMPLETE", "FINALIZING")
    assert session_row(expired).status == "INIT"


@pytest.mark.parametrize("seconds", [0, 1, worker.GRACE_SECONDS])
def test_a_finalize_that_a_stop_leaves_no_time_is_given_back(ann, storage, monkeypatch, clock, seconds):
    session = left_to_the_worker(ann, storage, monkeypatch, data=bytes(4 * CHUNK))
    asked = []

    def stopped(_):
        asked.append(True)
        clock.seconds += seconds if len(asked) > 4 else 0
        return len(asked) > 3

    Worker(storage=storage, stopped=stopped, now=clock).run()
    if seconds < worker.GRACE_SECONDS:
        assert session_row(session).status == "COMPLETE"
        return
    assert session_row(session).status == "FINALIZING"
    # Another worker takes it up at once: no lease has to run out, and no attempt has failed.
    assert finalize.finalize_again(storage=storage) == 1
    assert (session_row(session).status, session_row(session).attempts) == ("COMPLETE", 0)


@pytest.mark.parametrize("steps", range(5))
def test_clean_up_that_is_told_to_stop_begins_no_further_step(ann, storage, monkeypatch, steps):
    expired = let_lifetime_end(open_session(ann, storage))
    waiting = left_to_the_worker(ann, storage, monkeypatch)
    asked = []

    def stopped():
        asked.append(True)
        return len(asked) > steps

    done = clean_up(storage=storage, stopped=stopped)
    assert (done.expired, done.finalized, done.removed) == (int(steps > 0), int(steps > 2), 0)
    assert session_row(expired).status == ("EXPIRED" if steps > 0 else "INIT")
    assert session_row(waiting).status == ("COMPLETE" if steps > 2 else "FINALIZING")


@pytest.mark.parametrize("seconds", [0, 1])
def test_nothing_is_counted_again_once_a_stop_is_asked_for(ann, storage, monkeypatch, clock, seconds):
    make_batch(ann)
    stop = []
    monkeypatch.setattr(worker, "clean_up", lambda **_: [stop.append(True) if seconds else None, Done()][1])
    Worker(storage=storage, stopped=lambda _: bool(stop), now=clock).round()
    assert Recount.objects.get().last_owner_id == (None if seconds else 0)

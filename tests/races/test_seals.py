"""Seal against all that joins, ends or cancels: one outcome each, one completion, counters exact."""

import time
from statistics import median

import pytest
from django.utils import timezone

from portal.exceptions import PortalError
from portal.models import OutboxEvent, UploadBatch
from portal.services.finalize import finalize_session
from portal.services.seals import seal_batch
from portal.services.sessions import abort_session
from tests.races.promises import assert_counted
from tests.races.racing import fresh
from tests.rounds import rounds
from tests.samples import make_batch, open_session, ready_session

pytestmark = pytest.mark.django_db(transaction=True)


def sealing(batch):
    """Return a contender that seals the batch."""
    return lambda: seal_batch(UploadBatch.objects.get(pk=batch.pk))


def seconds_of_an_opening(ann, storage):
    """Open a session in a new batch and return how long it took."""
    batch, began = make_batch(ann), time.monotonic()
    open_session(ann, storage, batch=batch)
    return time.monotonic() - began


def settled(batch):
    """Return the batch, after a look at its completion: told once if it has nothing pending, else not at all."""
    row = UploadBatch.objects.get(pk=batch.pk)
    told = OutboxEvent.objects.filter(event_type="batch.completed", subject_id=batch.pk).count()
    done = row.sealed_at is not None and row.pending_count == 0 and row.cancelled_at is None
    assert (row.completed_at is not None, told) == (done, int(done))
    return row


def test_a_file_joins_before_the_seal_or_not_at_all(ann, storage, race):
    joined, times = 0, rounds(300)
    # An opening waits for the disk, a seal does not: on a slow one the seal would always win. The first of a process
    # takes longer than all others.
    _, *taken = (seconds_of_an_opening(ann, storage) for _ in range(4))
    behind = 2 * median(taken)
    for _ in range(times):
        batch = make_batch(ann)
        opening = lambda batch=batch: open_session(ann, storage, batch=batch)  # noqa: E731
        session, _ = race(opening, sealing(batch), behind=behind)
        refused = isinstance(session, PortalError)
        assert not refused or session.code == "batch_sealed"
        assert settled(batch).total_files == int(not refused)
        assert_counted(batch, total_files=int(not refused))
        joined += not refused
    # Both were met, so it was a race.
    assert 0 < joined < times


@pytest.mark.parametrize("others", ["finalize", "abort", "both"])
def test_the_last_files_and_the_seal_complete_the_batch_once(ann, storage, race, others):
    for _ in range(rounds(300)):
        batch = make_batch(ann)
        first, second = (ready_session(ann, storage, batch=batch) for _ in range(2))
        if others == "abort":
            finalize_session(first, storage=storage)
            lanes = [lambda second=second: abort_session(fresh(ann, second))]
        else:
            lanes = [lambda first=first: finalize_session(fresh(ann, first), storage=storage)]
            lanes.append(lambda second=second: finalize_session(fresh(ann, second), storage=storage))
            if others == "finalize":
                lanes.pop()()
        race(*lanes, sealing(batch))
        row = settled(batch)
        assert row.completed_at is not None
        assert_counted(batch, total_files=2, stored_count=1 if others == "abort" else 2)


def test_a_seal_that_meets_a_cancel_is_refused_or_was_first(ann, race):
    for _ in range(rounds(300)):
        batch = make_batch(ann, expected_files=1)
        rows = UploadBatch.objects.filter(pk=batch.pk, completed_at__isnull=True)
        sealed, _ = race(
            lambda batch=batch: seal_batch(UploadBatch.objects.get(pk=batch.pk), expected_files=0),
            lambda rows=rows: rows.update(cancelled_at=timezone.now()),
        )
        row = UploadBatch.objects.get(pk=batch.pk)
        assert (row.sealed_at is None) == isinstance(sealed, PortalError)
        assert (row.cancelled_at is None) == (row.completed_at is not None)

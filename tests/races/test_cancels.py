"""Cancel against all that joins, ends, seals or completes: one outcome each, nothing left open, counters exact."""

import pytest

from portal.exceptions import PortalError
from portal.models import IngestFile, OutboxEvent, UploadBatch, UploadSession
from portal.services.cancels import cancel_batch, delete_batch_files
from portal.services.finalize import finalize_session
from portal.services.receipts import get_receipt, read_manifest
from portal.services.seals import seal_batch
from tests.races.promises import assert_counted, files_below
from tests.races.racing import fresh, put_part
from tests.races.test_whole_files import putting
from tests.rounds import rounds
from tests.samples import CHUNK, make_batch, open_session, ready_session, store_file

pytestmark = pytest.mark.django_db(transaction=True)


def cancelling(batch, storage):
    """Return a contender that cancels the batch."""
    return lambda: cancel_batch(UploadBatch.objects.get(pk=batch.pk), storage=storage)


def sealing(batch):
    """Return a contender that seals the batch."""
    return lambda: seal_batch(UploadBatch.objects.get(pk=batch.pk))


def assert_ended(batch):
    """The batch is cancelled or completed, never both, with its one event if so; return its row."""
    row = UploadBatch.objects.get(pk=batch.pk)
    assert (row.cancelled_at is None) != (row.completed_at is None)
    told = OutboxEvent.objects.filter(event_type="batch.completed", subject_id=batch.pk).count()
    assert told == (row.completed_at is not None)
    assert_counted(batch)
    return row


def test_a_seal_a_join_and_a_finalize_meet_a_cancel(ann, storage, race):
    seen = set()
    for _ in range(rounds(300)):
        batch = make_batch(ann)
        ready = ready_session(ann, storage, batch=batch)
        opening = lambda batch=batch: open_session(ann, storage, batch=batch)  # noqa: E731
        finalizing = lambda ready=ready: finalize_session(fresh(ann, ready), storage=storage)  # noqa: E731
        opened, finalized, sealed, cancelled = race(
            opening, finalizing, sealing(batch), cancelling(batch, storage), behind=0.01
        )
        row = assert_ended(batch)
        assert row.pending_count == 0 or row.completed_at is None
        if row.cancelled_at:
            assert not UploadSession.objects.open().filter(file__batch=batch).exists()
            assert row.pending_count == 0
        assert isinstance(cancelled, PortalError) == (row.completed_at is not None)
        assert row.total_files == 1 + (not isinstance(opened, PortalError))
        assert row.stored_count == (not isinstance(finalized, PortalError))
        seen.add((row.status, isinstance(opened, PortalError), isinstance(sealed, PortalError)))
    assert len(seen) > 1


def test_the_last_file_and_the_cancel_have_one_winner(ann, storage, race):
    for _ in range(rounds(300)):
        batch = make_batch(ann, expected_files=1)
        ready = ready_session(ann, storage, batch=batch)
        finalizing = lambda ready=ready: finalize_session(fresh(ann, ready), storage=storage)  # noqa: E731
        finalized, cancelled = race(finalizing, cancelling(batch, storage))
        row = assert_ended(batch)
        assert isinstance(cancelled, PortalError) == (row.completed_at is not None)
        # A finalize that had begun runs to its end, whether the batch was cancelled meanwhile or not.
        assert row.stored_count == (not isinstance(finalized, PortalError))
        assert row.pending_count == 0


def test_parts_that_land_do_not_keep_a_cancel_from_ending_their_sessions(ann, storage, race, root):
    for _ in range(rounds(200)):
        batch = make_batch(ann)
        sessions = [open_session(ann, storage, batch=batch, size=2 * CHUNK) for _ in range(3)]
        sending = [lambda s=s: put_part(ann, storage, s, 1, bytes(CHUNK)) for s in sessions[:2]]
        race(*sending, cancelling(batch, storage), cancelling(batch, storage))
        assert_counted(batch, total_files=3, failed_count=3)
        assert OutboxEvent.objects.filter(batch_id=batch.pk, event_type="file.failed").count() == 3
    assert files_below(root) == []


def test_whole_files_join_before_the_cancel_or_not_at_all(ann, storage, race):
    for _ in range(rounds(200)):
        batch = make_batch(ann)
        members = [(str(n), b"data") for n in range(4)]
        arrivals, _ = race(putting(ann, storage, batch, *members), cancelling(batch, storage))
        outcomes = {arrival.error and arrival.error.code for arrival in arrivals}
        assert outcomes in ({None}, {"batch_cancelled"})
        joined = 4 * (outcomes == {None})
        assert_counted(batch, total_files=joined, stored_count=joined)


def test_two_that_delete_leave_one_tombstone_and_no_bytes(ann, storage, race, root):
    for _ in range(rounds(100)):
        batch = make_batch(ann)
        for number in range(3):
            store_file(ann, storage, b"%d" % number, batch=batch, path=str(number))
        seal_batch(UploadBatch.objects.get(pk=batch.pk))
        manifest = b"".join(read_manifest(batch))

        def deleting(batch=batch):
            delete_batch_files(UploadBatch.objects.get(pk=batch.pk), storage=storage)

        def reading(batch=batch):
            return get_receipt(UploadBatch.objects.get(pk=batch.pk))["manifest_sha256"]

        *both, digest = race(deleting, deleting, reading)
        assert both == [None, None]
        row = assert_ended(batch)
        assert (b"".join(read_manifest(row)), row.stored_count) == (manifest, 3)
        assert digest == row.manifest_sha256
        assert not IngestFile.objects.filter(batch=batch).exists()
    assert files_below(root) == []

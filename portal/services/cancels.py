"""Cancel a batch: no file joins it any more and what is open is aborted. Delete the files of one that has ended."""

from contextlib import suppress

from django.db.models.functions import Now

from portal.exceptions import BatchCompleted, FileBusy, NotFound, SessionClosed, StatusConflict
from portal.models import IngestFile, UploadBatch, UploadSession
from portal.services import cleanup
from portal.services.batches import refuse_closed
from portal.services.outcomes import record_aborted, record_given_up
from portal.services.receipts import keep_manifest
from portal.services.removals import remove_batch_files
from portal.services.sessions import abort_session, read_again
from portal.services.transactions import write_transaction

BLOCK = 100


def cancel_batch(batch, *, storage):
    """Cancel `batch` and abort its open sessions; what is being finalized runs to its end. Again is the same.

    Raises BatchCompleted: then there is nothing to give up.
    """
    with write_transaction():
        undecided = UploadBatch.objects.filter(pk=batch.pk, cancelled_at__isnull=True, completed_at__isnull=True)
        undecided.update(cancelled_at=Now(), updated_at=Now())
    batch.refresh_from_db()
    refuse_closed(batch, ("completed_at",))
    _end_pending(batch, storage)


def delete_batch_files(batch, *, storage):
    """Cancel `batch` unless it is completed, and delete its files; of a completed one counters and receipt stay.

    Again deletes what was left. Raises FileBusy when some are still being finalized.
    """
    if batch.completed_at is None:
        # It may be completed at this very moment.
        with suppress(BatchCompleted):
            cancel_batch(batch, storage=storage)
    if batch.completed_at is not None and batch.files_deleted_at is None:
        _keep_receipt(batch, storage)
    remove_batch_files(batch, storage=storage)


def _keep_receipt(batch, storage):
    """Bring a completed batch to the state that it will have for ever, and keep its receipt."""
    # It was completed by what it expected, while others were still on their way.
    _end_pending(batch, storage)
    batch.refresh_from_db()
    if batch.pending_count:
        raise FileBusy("A file of the batch is being finalized, or has just begun.")
    keep_manifest(batch)


def _end_pending(batch, storage):
    while expected := list(batch.files.filter(status=IngestFile.Status.EXPECTED).select_related("owner")[:BLOCK]):
        with suppress(StatusConflict):
            record_given_up(expected)
    _abort_sessions(batch, storage)


def _abort_sessions(batch, storage):
    """Abort all open sessions of the batch, a block in one transaction, with one move of the counters."""
    last = None
    while True:
        rest = UploadSession.objects.open().filter(file__batch=batch, file__status=IngestFile.Status.UPLOADING)
        rest = rest.select_related("file__owner").order_by("id")
        block = list((rest.filter(pk__gt=last) if last else rest)[:BLOCK])
        if not block:
            return
        _abort_block(block)
        for session in block:
            cleanup.remove_bytes(session, storage=storage)
        last = block[-1].pk


def _abort_block(sessions):
    try:
        record_aborted(sessions)
    except StatusConflict:
        # One of them moved: each for itself, as it is now.
        for session in sessions:
            with suppress(NotFound, SessionClosed):
                read_again(session)
                abort_session(session)

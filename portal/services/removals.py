"""Remove files with their bytes: row first, bytes second; an open session of one is aborted with it."""

from portal.exceptions import FileBusy, StatusConflict
from portal.models import IngestFile, UploadSession
from portal.services import cleanup
from portal.services.batches import TO_LEAVE, update_batch_counters
from portal.services.space import storage_of
from portal.services.transactions import write_transaction
from portal.services.transitions import advance, remove_rows
from portal.services.usage import move_usage

BLOCK = 100


def remove_files(files, *, storage, where=None, counted=True):
    """Remove files of one batch, or of none, all or none; the counters go down with them unless not `counted`.

    `where`, `{column: value}`, is what must hold of each besides its status. Raises FileBusy while one is being
    finalized, or when one changed, and BatchCompleted where they are counted in a completed batch.
    """
    sessions = list(UploadSession.objects.filter(file__in=files).order_by("id"))
    if any(session.status == UploadSession.Status.FINALIZING for session in sessions):
        raise FileBusy
    try:
        with write_transaction():
            aborted = [session for session in sessions if session.status in UploadSession.OPEN]
            for session in aborted:
                advance(session, UploadSession.Status.ABORTED)
            # Also those whose bytes are gone are to be looked at once more: their rows go as well.
            UploadSession.objects.filter(file__in=files).update(file=None, bytes_removed=False)
            remove_rows(files, where=where)
            if counted:
                _count_out(files)
            _free(files, aborted)
    except StatusConflict as error:
        raise FileBusy("The file changed at this moment; try again.") from error
    for session in sessions:
        cleanup.remove_bytes(session, storage=storage)
    keys = {session.object_key for session in sessions}
    for file in files:
        by_session = file.storage_backend == storage.backend and file.storage_key in keys
        if file.status == IngestFile.Status.STORED and not by_session:
            # It came whole, or was moved. If this is not reached, the sweep finds bytes that no row names.
            cleanup.discard_object(file.storage_key, storage=storage_of(file.storage_backend, storage))


def remove_batch_files(batch, *, storage):
    """Remove all files of a batch that was cancelled or is completed, in blocks; those of a completed one count on.

    Raises FileBusy when some are still being finalized; the others are gone by then.
    """
    busy, last = None, None
    while True:
        rest = batch.files.order_by("id")
        block = list((rest.filter(pk__gt=last) if last else rest)[:BLOCK])
        if not block:
            break
        busy = _remove_block(batch, block, storage) or busy
        last = block[-1].pk
    if busy:
        raise busy


def _remove_block(batch, block, storage):
    """Remove a block of files, one by one when not all can be removed; return the FileBusy of one that stays."""
    counted, busy = batch.completed_at is None, None
    try:
        return remove_files(block, storage=storage, counted=counted)
    except FileBusy:
        pass
    for file in batch.files.filter(pk__in=[file.pk for file in block]):
        try:
            remove_files([file], storage=storage, counted=counted)
        except FileBusy as error:
            busy = error
    return busy


def _free(files, aborted):
    stored = [file.size_bytes for file in files if file.status == IngestFile.Status.STORED]
    move_usage(
        files[0].owner_id,
        stored_files=-len(stored),
        stored_bytes=-sum(stored),
        open_sessions=-len(aborted),
        open_bytes=-sum(session.total_size_bytes for session in aborted),
    )


def _count_out(files):
    stored = [file for file in files if file.status == IngestFile.Status.STORED]
    update_batch_counters(
        files[0].batch_id,
        total=-len(files),
        stored=-len(stored),
        failed=-sum(file.status == IngestFile.Status.FAILED for file in files),
        total_bytes=-sum(file.size_bytes for file in files),
        stored_bytes=-sum(file.size_bytes for file in stored),
        open_to=TO_LEAVE,
    )

"""Files: list, give out, delete."""

import logging
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db.models import Q

from portal import access
from portal.exceptions import FileBusy, FileNotStored, StatusConflict, StorageUnavailable
from portal.models import IngestFile, UploadSession
from portal.services import cleanup
from portal.services.batches import TO_LEAVE, update_batch_counters
from portal.services.pages import read_page
from portal.services.space import storage_errors
from portal.services.transactions import write_transaction
from portal.services.transitions import advance, remove_row
from portal.storage.handles import StoredObject

logger = logging.getLogger("portal.storage")


@dataclass(frozen=True)
class Content:
    """The bytes of a STORED file, open for reading, or the URL where the store gives them out; sizes in bytes."""

    file_id: UUID
    size: int
    sha256: str
    filename: str
    stored: StoredObject | None = None
    url: str | None = None


def list_files(caller, fields, *, status=None, loose=False, **page):
    """Return a Page of the caller's files, newest first; only those without a batch when `loose`."""
    rows = access.files_of(caller)
    if status:
        rows = rows.filter(status=status)
    if loose:
        rows = rows.filter(batch__isnull=True)
    return read_page(rows, fields, newest_first=True, **page)


def open_content(caller, file_id, *, storage, redirect=None):
    """Open the bytes of a STORED file, or with `redirect(filename)` have the store sign a URL, if it can.

    `redirect` returns `(method, Content-Disposition)`, what is asked for. Raises NotFound, FileNotStored,
    StorageUnavailable.
    """
    caller.require(access.READ, access.SERVICE)
    file = access.get_file(caller, file_id)
    if file.status != IngestFile.Status.STORED:
        raise FileNotStored
    content = partial(Content, file.pk, file.size_bytes, file.sha256, file.original_filename)
    if redirect and storage.presigns:
        method, disposition = redirect(file.original_filename)
        with storage_errors():
            return content(url=storage.sign_content(file.storage_key, method=method, disposition=disposition).url)
    try:
        with storage_errors():
            stored = storage.open_object(file.storage_key)
    except FileNotFoundError as error:
        raise StorageUnavailable("The bytes of this file cannot be found.") from error
    if stored.size != file.size_bytes:
        stored.close()
        logger.error("file %s has %d bytes in storage, not %d", file.pk, stored.size, file.size_bytes)
        raise StorageUnavailable("The bytes of this file are not all there.")
    return content(stored=stored)


def delete_file(file, *, storage):
    """Remove a file and its bytes: an open session of it is aborted, the counters of its batch go down with it.

    Row first, bytes second. Raises FileBusy while it is being finalized, BatchCompleted in a completed batch.
    """
    sessions = list(file.sessions.all())
    if any(session.status == UploadSession.Status.FINALIZING for session in sessions):
        raise FileBusy
    stored, failed = file.status == IngestFile.Status.STORED, file.status == IngestFile.Status.FAILED
    try:
        with write_transaction():
            for session in sessions:
                if session.status in UploadSession.OPEN:
                    advance(session, UploadSession.Status.ABORTED)
            # Also those whose bytes are gone are to be looked at once more: their rows go as well.
            file.sessions.update(file=None, bytes_removed=False)
            # A FAILED file that was opened again and failed once more may have another size.
            remove_row(file, where=Q(session_id=file.session_id))
            update_batch_counters(
                file.batch_id,
                total=-1,
                stored=-int(stored),
                failed=-int(failed),
                total_bytes=-file.size_bytes,
                stored_bytes=-file.size_bytes if stored else 0,
                open_to=TO_LEAVE,
            )
    except StatusConflict as error:
        raise FileBusy("The file changed at this moment; try again.") from error
    for session in sessions:
        cleanup.remove_bytes(session, storage=storage)
    if stored and file.session_id is None:
        # It came whole. If this is not reached, the sweep finds bytes that no row names.
        cleanup.discard_object(file.storage_key, storage=storage)

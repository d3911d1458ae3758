"""Files: list, give out, delete."""

import logging
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from portal import access
from portal.exceptions import FileNotStored, StorageUnavailable
from portal.models import IngestFile
from portal.services.pages import read_page
from portal.services.removals import remove_files
from portal.services.space import storage_errors, storage_of, storage_turn
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
    place = storage_of(file.storage_backend, storage)
    if redirect and place.presigns:
        method, disposition = redirect(file.original_filename)
        with storage_errors():
            return content(url=place.sign_content(file.storage_key, method=method, disposition=disposition).url)
    try:
        with storage_turn(place), storage_errors():
            stored = place.open_object(file.storage_key)
    except FileNotFoundError as error:
        if access.get_file(caller, file_id).storage_key != file.storage_key:
            # It was moved to another storage at this moment.
            return open_content(caller, file_id, storage=storage, redirect=redirect)
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
    # A FAILED file that was opened again and failed once more may have another size.
    remove_files([file], storage=storage, where={"session_id": file.session_id})

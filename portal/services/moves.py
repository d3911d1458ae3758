"""Move STORED files from one kind of storage to another, while the portal runs: copied, verified, then the row.

A row names where its bytes are, so a run that was stopped goes on with what is left. The bytes keep their key.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from portal.models import IngestFile
from portal.services.cleanup import discard_object
from portal.services.space import storage_errors
from portal.services.transactions import write_transaction
from portal.services.verify import Finding
from portal.storage import StorageUnavailable, get_storage

BLOCK = 100
READ_BYTES = 2**20
FIELDS = ("id", "storage_backend", "storage_key", "size_bytes", "sha256")


def count_to_move(target):
    """Return `(files, bytes)` that are not in the kind of storage that `target` is; one query."""
    rows = _elsewhere(target).values_list("size_bytes", flat=True)
    return rows.count(), sum(rows.iterator())


def move_files(target, *, parallel=4) -> Iterator[tuple[dict, Finding | None]]:
    """Move every STORED file to `target`; yield each (id, size) in order of id, with what kept it from moving or None.

    `parallel` files are copied at once. A file that is deleted meanwhile is left alone. Raises OutOfSpace,
    StorageUnavailable: what was moved by then is moved.
    """
    last = None
    with ThreadPoolExecutor(parallel, thread_name_prefix="portal-move") as threads:
        while True:
            block = _elsewhere(target).order_by("id")
            block = list((block.filter(pk__gt=last) if last else block).values(*FIELDS)[:BLOCK])
            if not block:
                return
            for row, finding in zip(block, threads.map(lambda row: _copy(row, target), block), strict=True):
                if finding is None:
                    _take_over(row, target)
                yield row, finding
            last = block[-1]["id"]


def _elsewhere(target):
    stored = IngestFile.objects.filter(status=IngestFile.Status.STORED)
    return stored.exclude(storage_backend=target.backend)


def _copy(row, target):
    """Copy one file and read the copy back; return what is wrong with it, or None. No database here."""
    key, subject = row["storage_key"], f"file {row['id']}"
    try:
        with storage_errors():
            # What a run that was stopped has left; no row names it there.
            target.remove_object(key)
            with get_storage(row["storage_backend"]).open_object(key) as source, target.create_object(key) as copy:
                found = _read(source, copy.write)
                if found != row["sha256"]:
                    return Finding(subject, "sha256_differs", f"{found}, the row says {row['sha256']}; not moved")
                target.finish_objects([copy])
            with target.open_object(key) as copied:
                found = _read(copied, lambda block: None)
    except FileNotFoundError:
        return Finding(subject, "missing", f"no bytes at {key}")
    if found != row["sha256"]:
        return Finding(subject, "copy_differs", f"{found}, the row says {row['sha256']}; not moved")
    return None


def _read(stored, take):
    """Give all of an object to `take`, block by block; return its SHA-256."""
    sha256, offset = hashlib.sha256(), 0
    while offset < stored.size:
        block = stored.read(offset, READ_BYTES)
        if not block:
            raise StorageUnavailable("The bytes of this file end early.")
        sha256.update(block)
        take(block)
        offset += len(block)
    return sha256.hexdigest()


def _take_over(row, target):
    """Let the row name the copy, then remove the original; the copy, if the file was deleted meanwhile."""
    with write_transaction():
        file = IngestFile.objects.filter(
            pk=row["id"], status=IngestFile.Status.STORED, storage_backend=row["storage_backend"]
        )
        moved = file.update(storage_backend=target.backend)
    discard_object(row["storage_key"], storage=get_storage(row["storage_backend"]) if moved else target)

"""Move STORED files from one kind of storage to another, while the portal runs: copied, verified, then the row.

A row names where its bytes are, so a run that was stopped goes on with what is left. A copy has a key of its own that
no row names until it is verified: whatever else runs, another move too, nobody removes bytes that a row names.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce

from portal.models import IngestFile
from portal.services.claims import new_object_key
from portal.services.cleanup import discard_object
from portal.services.space import storage_errors
from portal.services.transactions import write_transaction
from portal.services.verify import FIELDS, Finding, hash_object
from portal.storage import get_storage

BLOCK = 100


def count_to_move(target):
    """Return `(files, bytes)` that are not in the kind of storage that `target` is; one query."""
    found = _elsewhere(target).aggregate(files=Count("pk"), size=Coalesce(Sum("size_bytes"), 0))
    return found["files"], found["size"]


def move_files(target, *, parallel=4) -> Iterator[tuple[dict, Finding | None]]:
    """Move every STORED file to `target`; yield each (id, size) as it is done, with what kept it from moving or None.

    `parallel` files are copied at once. A file that is deleted or moved meanwhile is left alone. Raises OutOfSpace,
    StorageUnavailable: what was moved by then is moved.
    """
    last = None
    with ThreadPoolExecutor(parallel, thread_name_prefix="portal-move") as threads:
        while True:
            block = _elsewhere(target).order_by("id")
            block = list((block.filter(pk__gt=last) if last else block).values(*FIELDS)[:BLOCK])
            if not block:
                return
            copies = {threads.submit(_copy, row, key := new_object_key(), target): (row, key) for row in block}
            # Taken over as each is done: a copy that no row names must not wait for a larger one.
            for copied in as_completed(copies):
                row, key = copies[copied]
                finding = copied.result()
                if finding is None:
                    _take_over(row, key, target)
                else:
                    discard_object(key, storage=target)
                yield row, finding
            last = block[-1]["id"]


def _elsewhere(target):
    stored = IngestFile.objects.filter(status=IngestFile.Status.STORED)
    return stored.exclude(storage_backend=target.backend)


def _copy(row, key, target):
    """Copy one file to `key` and read the copy back; return what is wrong with it, or None. No database here."""
    subject, place = f"file {row['id']}", row["storage_key"]
    try:
        with storage_errors():
            with get_storage(row["storage_backend"]).open_object(place) as source, target.create_object(key) as copy:
                found = hash_object(source, copy.write)
                if found != row["sha256"]:
                    return Finding(subject, "sha256_differs", f"{found}, the row says {row['sha256']}; not moved")
                target.finish_objects([copy])
            with target.open_object(key) as copied:
                found = hash_object(copied)
    except FileNotFoundError:
        return Finding(subject, "missing", f"no bytes at {place}")
    if found != row["sha256"]:
        return Finding(subject, "copy_differs", f"{found}, the row says {row['sha256']}; not moved")
    return None


def _take_over(row, key, target):
    """Let the row name the copy, then remove the original; or the copy, if the row names something else by now."""
    seen = {name: row[name] for name in ("id", "storage_backend", "storage_key")}
    with write_transaction():
        file = IngestFile.objects.filter(status=IngestFile.Status.STORED, **seen)
        moved = file.update(storage_backend=target.backend, storage_key=key)
    if moved:
        discard_object(row["storage_key"], storage=get_storage(row["storage_backend"]))
    else:
        discard_object(key, storage=target)

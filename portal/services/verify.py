"""Read back what is stored and compare it with the rows: silent damage of a disk, and what a restore lost."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from portal.models import IngestFile, UploadSession
from portal.services.claims import new_object_key
from portal.services.cleanup import find_unnamed
from portal.services.space import storage_of
from portal.storage import RangeBusy, StorageUnavailable

BLOCK = 500
READ_BYTES = 2**20
FIELDS = ("id", "storage_backend", "storage_key", "size_bytes", "sha256")


@dataclass(frozen=True)
class Finding:
    """Something that is not as its row says, or that no row names."""

    subject: str  #: such as `file <id>`
    code: str  #: a stable slug
    detail: str

    def __str__(self):
        return f"{self.subject}: {self.code}: {self.detail}"


def count_stored(*, since=None, after=None):
    """Return how many STORED files `verify_stored` has to look at; one count over their index."""
    return _stored(since, after).count()


def verify_stored(*, storage, since=None, after=None, share=1.0, quick=False) -> Iterator[tuple[dict, Finding | None]]:
    """Yield each STORED file (id, size) in order of id, with what is wrong with its bytes or None.

    `since` is a datetime of storing, `after` the id to go on behind, `share` the part of the files that is looked at,
    chosen by chance; `quick` compares sizes alone. Raises nothing for a file that cannot be read: that is a Finding.
    """
    last = after
    while True:
        block = list(_stored(since, last).order_by("id").values(*FIELDS)[:BLOCK])
        for row in block:
            if random.random() < share:  # noqa: S311 - a sample, no secret
                yield row, _look_at(row, storage, quick)
        if len(block) < BLOCK:
            return
        last = block[-1]["id"]


def verify_sessions(*, storage) -> Iterator[Finding]:
    """Yield what is wrong with the recorded parts of sessions that have not ended; nothing may write meanwhile."""
    for session in UploadSession.objects.alive().order_by("id").iterator():
        if not storage.locks:
            yield from _compare_parts(session, storage)
            continue
        sizes = [session.part_size(number) for number in range(1, session.total_parts + 1)]
        try:
            with storage.hold(session.staging_key, session.object_key or new_object_key()) as held:
                _, digests = held.digest(sizes)
        except FileNotFoundError:
            yield Finding(f"session {session.pk}", "missing", "its staging file is gone")
            continue
        except RangeBusy:
            yield Finding(f"session {session.pk}", "busy", "it is being written; stop the server first")
            continue
        except StorageUnavailable as error:
            yield Finding(f"session {session.pk}", "unreadable", str(error))
            continue
        for number, blake3 in session.parts.order_by("number").values_list("number", "blake3").iterator():
            if digests[number - 1] != blake3:
                yield Finding(f"session {session.pk}", "part_differs", f"part {number} has other bytes")


def _compare_parts(session, storage):
    """Yield what differs between the recorded parts of a session and those that the storage lists."""
    subject, recorded = f"session {session.pk}", session.parts.order_by("number").values_list("number", "etag")
    if not session.object_key:
        yield Finding(subject, "missing", "it was begun while another storage was set")
        return
    try:
        listed = {part.number: part.etag for part in storage.list_parts(session.object_key, session.upload_id)}
        if session.total_parts == 1 and not listed:
            # Put as the object itself, before there was an upload.
            listed = {part.number: part.etag for part in storage.list_parts(session.object_key, "")}
    except FileNotFoundError:
        # Put together already, and then finalize looks at the whole; or never begun.
        if session.status != UploadSession.Status.FINALIZING and session.completed_parts:
            yield Finding(subject, "missing", "its upload is gone")
        return
    except StorageUnavailable as error:
        yield Finding(subject, "unreadable", str(error))
        return
    for number, etag in recorded.iterator():
        if listed.get(number) != etag:
            yield Finding(subject, "part_differs", f"part {number} has other bytes")


def verify_named(*, storage) -> Iterator[Finding]:
    """Yield each object that no row names: after a restore, a file that is newer than the database."""
    for key in find_unnamed("objects", storage=storage, older_than=-1):
        yield Finding(f"object {key}", "unnamed", "no row names it; the sweep takes it when it is a day old")


def _stored(since, after):
    files = IngestFile.objects.filter(status=IngestFile.Status.STORED)
    if since:
        files = files.filter(stored_at__gte=since)
    return files.filter(pk__gt=after) if after else files


def _look_at(row, storage, quick):
    """Return what is wrong with the bytes of one file, None when nothing is, or it was deleted meanwhile."""
    subject = f"file {row['id']}"
    try:
        with storage_of(row["storage_backend"], storage).open_object(row["storage_key"]) as stored:
            if stored.size != row["size_bytes"]:
                return Finding(subject, "size_differs", f"{stored.size} bytes, the row says {row['size_bytes']}")
            if not quick and (found := hash_object(stored)) != row["sha256"]:
                return Finding(subject, "sha256_differs", f"{found}, the row says {row['sha256']}")
    except FileNotFoundError:
        # Unless it was deleted, or moved to another storage, since the row was read.
        seen = {name: row[name] for name in ("id", "storage_backend", "storage_key")}
        if IngestFile.objects.filter(**seen).exists():
            return Finding(subject, "missing", f"no bytes at {row['storage_key']}")
    except StorageUnavailable as error:
        return Finding(subject, "unreadable", str(error))
    return None


def hash_object(stored, take=lambda block: None):
    """Return the SHA-256 of an object, each block of which is given to `take`; one that ends early has another."""
    sha256, offset = hashlib.sha256(), 0
    while offset < stored.size:
        block = stored.read(offset, READ_BYTES)
        if not block:
            break
        sha256.update(block)
        take(block)
        offset += len(block)
    return sha256.hexdigest()

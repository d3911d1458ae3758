"""What CONTRACT.md promises of batches, files, sessions and parts, in plain Python: what there is, and what it counts.

Nothing here knows the portal's code. What each call makes of it is in `tests/stateful/*_calls.py`.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass

CHUNK = 64 * 1024
#: By what closes a batch, the code that says so.
CLOSED_BY = {"cancelled": "batch_cancelled", "completed": "batch_completed", "sealed": "batch_sealed"}
#: What must not have happened to the batch: to join it, to open a FAILED file of it again, to bring an EXPECTED one.
TO_JOIN, TO_REOPEN, TO_BRING = ("cancelled", "completed", "sealed"), ("cancelled", "completed"), ("cancelled",)


def digest_of(data):
    """Return the SHA-256 of bytes, lower-case hex."""
    return hashlib.sha256(data).hexdigest()


@dataclass(eq=False)
class Batch:
    """A batch; `kept` and `receipt` are its counters and its manifest once the files of a completed one are deleted."""

    name: str
    expected: int | None
    id: str | None = None
    sealed: bool = False
    completed: bool = False
    cancelled: bool = False
    kept: dict | None = None
    receipt: str | None = None

    def closed(self, columns):
        """Return the codes of all that closes it."""
        return {CLOSED_BY[name] for name in columns if getattr(self, name)}


@dataclass(eq=False)
class File:
    """A file; of a STORED one `data` are its bytes. Its name stands for its path where it has none."""

    batch: Batch | None
    path: str | None
    name: str
    size: int
    status: str
    declared: str = ""
    error: str | None = None
    data: bytes | None = None
    id: str | None = None

    @property
    def key(self):
        """What it is known by, whatever its id."""
        return (self.batch and self.batch.name, self.path or self.name)

    @property
    def sha256(self):
        """The digest of its bytes, None while it has none."""
        return None if self.data is None else digest_of(self.data)

    def is_declared_as(self, size, sha256=""):
        """Whether it can be the file of these bytes."""
        known = self.sha256 or self.declared
        return self.size == size and (not sha256 or not known or sha256 == known)


class Model:
    """All that one owner has, and the events that were told of it."""

    def __init__(self):
        self.batches, self.files, self.sessions = [], [], []
        #: How often each was told: type, batch, path or name.
        self.events = Counter()

    def files_of(self, batch):
        """Return the files of a batch."""
        return [file for file in self.files if file.batch is batch]

    def file_on(self, batch, path):
        """Return the file on a path of a batch, or None."""
        return next((file for file in self.files_of(batch) if path is not None and file.path == path), None)

    def session_of(self, file):
        """Return the session by which an UPLOADING file comes."""
        return next(one for one in reversed(self.sessions) if one.file is file and not one.gone)

    def count(self, batch):
        """Return the counters of a batch, as it shows them."""
        if batch.kept is not None:
            return batch.kept
        files = self.files_of(batch)
        stored = [file for file in files if file.status == "STORED"]
        failed = sum(file.status == "FAILED" for file in files)
        return {
            "total_files": len(files),
            "stored_count": len(stored),
            "failed_count": failed,
            "pending_count": len(files) - len(stored) - failed,
            "total_bytes": sum(file.size for file in files),
            "stored_bytes": sum(file.size for file in stored),
        }

    def status_of(self, batch):
        """Return the status that follows from the counters."""
        counted = self.count(batch)
        if batch.cancelled:
            return "CANCELLED"
        if not counted["total_files"]:
            return "INIT"
        if counted["pending_count"] or counted["total_files"] < (batch.expected or 0):
            return "IN_PROGRESS"
        if not counted["failed_count"]:
            return "COMPLETE"
        return "PARTIAL" if counted["stored_count"] else "FAILED"

    def complete(self, batch):
        """Complete a batch that has all that it waits for, once."""
        if batch is None or batch.completed or batch.cancelled:
            return
        counted = self.count(batch)
        ended = batch.sealed and not counted["pending_count"]
        if ended or (batch.expected is not None and counted["stored_count"] >= batch.expected):
            batch.completed = True
            self.events["batch.completed", batch.name, None] += 1

    def store(self, file, data):
        """Make a file STORED with these bytes."""
        file.status, file.data, file.size, file.error = "STORED", data, len(data), None
        self.events["file.uploaded", *file.key] += 1
        self.complete(file.batch)

    def fail(self, file, code, session=None, status=None):
        """Make a file FAILED, and the session that brought it end with `status`."""
        file.status, file.error = "FAILED", code
        if session:
            session.status, session.overdue = status, False
        self.events["file.failed", *file.key] += 1
        self.complete(file.batch)

    def remove(self, file):
        """Remove a file and what brought it."""
        self.files.remove(file)
        for session in self.sessions:
            session.gone = session.gone or session.file is file

    def manifest(self, batch, *, promised=False):
        """Return the manifest of what is STORED in a batch, or was; or of what is `promised` to be in the end."""
        if batch.receipt is not None:
            return batch.receipt
        lines = [
            (file.path or f"{file.id}/{file.name}", file.sha256 if file.data is not None else file.declared)
            for file in self.files_of(batch)
            if file.data is not None or (promised and file.status != "FAILED")
        ]
        return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(lines, key=lambda line: line[0].encode()))

    def view(self):
        """Return all of it that a client can see, without ids, and the digests by which bytes will be judged."""
        alive = [session for session in self.sessions if not session.gone]
        return {
            "batches": {
                batch.name: (self.status_of(batch), batch.sealed, batch.completed, batch.expected, self.count(batch))
                for batch in self.batches
            },
            "files": {file.key: (file.status, file.error, file.size, file.sha256) for file in self.files},
            "sessions": sorted(((one.file.key, one.status, one.size, sorted(one.parts)) for one in alive), key=str),
            "events": +self.events,
            "declared": sorted(
                [(file.key, file.declared) for file in self.files if file.status in ("EXPECTED", "UPLOADING")]
                + [(one.file.key, one.declared) for one in alive if one.open],
                key=str,
            ),
        }

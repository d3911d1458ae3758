"""A whole file on its way in: hashed as it comes, in memory while it is small, else written to its object."""

import hashlib
import time

from django.conf import settings

from portal.exceptions import (
    BodyIncomplete,
    ContentTypeRefused,
    DigestMismatch,
    FileTooLarge,
    PortalError,
    QuotaExceeded,
    ScannerUnavailable,
    ScanRefused,
)
from portal.services.claims import new_object_key
from portal.services.inspection import inspect
from portal.services.limits import max_file_size
from portal.services.space import storage_errors

#: A file up to this size is held in memory until all of it is there: one write, and none at all if it is refused.
SMALL_BYTES = 256 * 2**10


class Arrival:
    """One file as it comes: write…, finish; then it has an outcome, its `file` or the `error` that refused it.

    `length` is its size in bytes if it was announced, `sha256s` are digests (bytes) that it must have. While
    `compared`, its path has a file already, and nothing is written.
    """

    def __init__(self, *, original_filename, content_type, path=None, length=None, sha256s=()):
        self.original_filename, self.content_type, self.path = original_filename, content_type, path
        self.length = length
        self.size = 0
        self.compared = False
        self.key = new_object_key()
        #: The outcome: a file, and whether it is new; or an error.
        self.file, self.created, self.error = None, False, None
        #: The FAILED file on its path, which is opened again.
        self.reopens = None
        self.object = None
        #: How many bytes its owner may store yet; None without a quota.
        self.room = None
        #: True from when a transaction that names its bytes was begun until that was refused: it may land yet.
        self.unsure = False
        #: Whether its content may be stored.
        self.judged = False
        self._sha256s = sha256s
        self._limit = max_file_size()
        self._hash = hashlib.sha256()
        self._held = bytearray()
        self._refuse_over(length or 0)

    @property
    def sha256(self):
        """The SHA-256 of what has come so far, lower-case hex."""
        return self._hash.hexdigest()

    @property
    def pending(self):
        """Whether it has no outcome yet."""
        return self.file is None and self.error is None

    @property
    def named(self):
        """Whether the row of its file names its bytes."""
        return self.file is not None and self.file.storage_key == self.key

    def holds(self, size):
        """Whether `size` more bytes stay in memory: then `write` does not touch the storage."""
        return self.compared or (self.object is None and self.size + size <= SMALL_BYTES)

    def write(self, data, *, storage):
        """Take the next bytes; raises FileTooLarge, QuotaExceeded, OutOfSpace, StorageUnavailable."""
        held = self.holds(len(data))
        if self.room is not None and self.size + len(data) > self.room and not self.compared:
            raise QuotaExceeded("The file has more bytes than are left of the quota.", quota="bytes")
        self._refuse_over(self.size + len(data))
        self.size += len(data)
        self._hash.update(data)
        if self.compared:
            return
        if held:
            self._held += data
            return
        self.spill(storage)
        with storage_errors():
            self.object.write(data)

    def finish(self):
        """All has come: raises BodyIncomplete or DigestMismatch when it is not what was announced."""
        if self.length is not None and self.size != self.length:
            raise BodyIncomplete
        if any(sha256 != self._hash.digest() for sha256 in self._sha256s):
            raise DigestMismatch

    def spill(self, storage):
        """Write to the object what is held in memory."""
        if self.object is None:
            with storage_errors():
                self.object = storage.create_object(self.key)
                self.object.write(self._held)
            self._held = bytearray()

    def judge(self, *, storage):
        """Give it an outcome when its content, durable by now, is refused or without a verdict; return a fault."""
        try:
            inspect(self.key, storage=storage)
            self.judged = True
        except (ContentTypeRefused, ScanRefused) as error:
            self.refuse(error)
        except PortalError as error:
            self.refuse(error)
            return error
        return None

    def refuse(self, error):
        """Give it the outcome `error`, unless it has one."""
        if self.pending:
            self.error = error

    def _refuse_over(self, size):
        if size > self._limit:
            detail = f"The file has {size} bytes or more; at most {self._limit} are taken."
            raise FileTooLarge(detail, max_file_size_bytes=self._limit)


def judge_arrivals(arrivals, *, storage):
    """Give each an outcome whose content is refused; one without a verdict loses no other.

    Where a scanner stays silent, all together wait for one of its times.
    """
    until, fault = time.monotonic() + settings.PORTAL_SCANNER_TIMEOUT_SECONDS, None
    for arrival in arrivals:
        if fault is not None and time.monotonic() >= until:
            arrival.refuse(fault)
        else:
            fault = arrival.judge(storage=storage) or fault


def refuse_unjudged(arrivals):
    """Whatever calls forgot it: nothing is recorded without a verdict."""
    for arrival in arrivals:
        if not arrival.judged:
            arrival.refuse(ScannerUnavailable())

"""Bytes that are held until all of them are there: in memory while they are few, else in a file without a name."""

import errno
import hashlib
import os
import tempfile
from contextlib import contextmanager, suppress

from portal.storage.base import NoSpace, StorageUnavailable

#: What one spool holds in memory; more waits in a file below TMPDIR, which dies with the process.
MEMORY_BYTES = 2**20


class Spool:
    """Bytes on their way, with their digest by `algorithm` (a name of hashlib); every method may block."""

    def __init__(self, algorithm):
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self.size = 0

    @property
    def digest(self):
        """The digest so far, in bytes."""
        return self._hash.digest()

    def reserve(self, size):
        """Make sure that so many bytes fit on this machine's disk, if they will go there; NoSpace."""
        if size > MEMORY_BYTES:
            with disk_errors():
                self._file.rollover()
                os.posix_fallocate(self._file.fileno(), 0, size)

    def add(self, view):
        """Take the next bytes; NoSpace, StorageUnavailable."""
        with disk_errors():
            self._file.write(view)
        self._hash.update(view)
        self.size += len(view)

    def rewind(self):
        """Go to the beginning, to read them; NoSpace, StorageUnavailable."""
        with disk_errors():
            self._file.seek(0)

    def read(self, size):
        """Return the next bytes, `size` of them at most; StorageUnavailable."""
        with disk_errors():
            return self._file.read(size)

    def free_bytes(self):
        """Return how many bytes are free on the disk where they wait."""
        with disk_errors():
            status = os.statvfs(tempfile.gettempdir())
        return status.f_bavail * status.f_frsize

    def close(self):
        """Drop them all; safe to call twice."""
        # What is not on the disk yet is of no use to anybody.
        with suppress(OSError):
            self._file.close()


@contextmanager
def disk_errors():
    """Turn what the disk says into the storage's errors."""
    try:
        yield
    except OSError as error:
        kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StorageUnavailable
        raise kind(f"Could not hold what is on its way: {error.strerror}.") from error

"""Bytes on their way to an S3 store: held until all of a part is there, since its MD5 goes before it."""

import base64
import errno
import hashlib
import io
import os
import tempfile
from contextlib import contextmanager, suppress

from portal.storage.base import NoSpace, StorageUnavailable

#: What one writer holds in memory; the rest of a part waits in a file without a name, which dies with the process.
MEMORY_BYTES = 2**20


class Spool:
    """Bytes on their way, with their MD5: a store refuses a body that was garbled, but the sum goes before it."""

    def __init__(self):
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    @property
    def md5(self):
        """The MD5 so far, in bytes."""
        return self._md5.digest()

    def reserve(self, size):
        """Make sure that so many bytes fit on this machine's disk, if they will go there."""
        if size > MEMORY_BYTES:
            with disk_errors():
                self._file.rollover()
                os.posix_fallocate(self._file.fileno(), 0, size)

    def add(self, view):
        """Take the next bytes; NoSpace, StorageUnavailable."""
        with disk_errors():
            self._file.write(view)
        self._md5.update(view)
        self.size += len(view)

    def body(self, require=lambda: None):
        """Return what an upload takes, from the beginning; `require()` is asked before each block of it goes out."""
        with disk_errors():
            self._file.seek(0)
        return {"Body": _Body(self._file, self.size, require), "ContentMD5": base64.b64encode(self.md5).decode()}

    def close(self):
        """Drop them all; safe to call twice."""
        # What is not on the disk yet is of no use to anybody.
        with suppress(OSError):
            self._file.close()


class _Body(io.RawIOBase):
    """The first `size` bytes of a file, as a body that can be sent again from its beginning."""

    def __init__(self, file, size, require):
        self._file, self._size, self._require = file, size, require

    def read(self, size=-1):
        self._require()
        left = self._size - self._file.tell()
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._file.tell()

    def seek(self, offset, whence=os.SEEK_SET):
        return self._file.seek(self._size + offset) if whence == os.SEEK_END else self._file.seek(offset, whence)


@contextmanager
def disk_errors():
    """Turn what the disk says into the contract's errors."""
    try:
        yield
    except OSError as error:
        kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StorageUnavailable
        raise kind(f"Could not keep a part on its way: {error.strerror}.") from error

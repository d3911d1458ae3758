"""Bytes on their way to an S3 store: held until all of a part is there, since its MD5 goes before it."""

import base64
import io
import os

from portal.storage.spool import Spool


class PartSpool(Spool):
    """A part on its way, with its MD5: a store refuses a body that was garbled, but the sum goes before it."""

    def __init__(self):
        super().__init__("md5")

    def body(self, require=lambda: None):
        """Return what an upload takes, from the beginning; `require()` is asked before each block of it goes out."""
        self.rewind()
        return {"Body": _Body(self._file, self.size, require), "ContentMD5": base64.b64encode(self.digest).decode()}


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

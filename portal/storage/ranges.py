"""What a local file is opened for: to write a part or the whole, to finalize it, to read it."""

import contextlib
import errno
import os

from portal.storage.base import RangeBusy
from portal.storage.descriptors import LockedFile, open_file, sync_folder, translated
from portal.storage.handles import HeldFile, NewObject, PartRange, StoredObject


class LocalPartRange(PartRange):
    """A byte range of a staging file, under its own descriptor's lock."""

    def __init__(self, path, offset, length):
        super().__init__(offset, length)
        self._file = LockedFile(path)

    def try_lock(self):
        with translated("lock a part"):
            self.locked = self._file.try_lock(self.offset, self.length)
        return self.locked

    def holds_data(self):
        with translated("look into a part"):
            try:
                return os.lseek(self._file.fileno(), self.offset, os.SEEK_DATA) < self.offset + self.length
            except OSError as error:
                if error.errno != errno.ENXIO:  # ENXIO: no data from here to the end
                    raise
                return False

    def reserve(self):
        with translated("reserve space for a part"):
            os.posix_fallocate(self._file.fileno(), self.offset, self.length)

    def _put(self, view, offset):
        with translated("write a part"):
            while view:
                count = os.pwrite(self._file.fileno(), view, offset)
                view, offset = view[count:], offset + count

    def sync(self):
        with translated("sync a part"):
            self._file.sync(os.fdatasync)

    def close(self):
        self.locked = False
        self._file.close()


class LocalHeldFile(HeldFile):
    """A whole file under one lock, on its way from staging to its object."""

    def __init__(self, folders, staging, destination):
        self._folders, self._staging, self._destination = folders, staging, destination
        with folders.at_work("hold a file"), contextlib.ExitStack() as undo:
            try:
                self._file = LockedFile(staging)
            except FileNotFoundError:
                self._file = LockedFile(destination)
            undo.callback(self._file.close)
            if not self._file.try_lock(0, 0):
                raise RangeBusy("Somebody is writing to the file, or holds it.")
            self.size = os.fstat(self._file.fileno()).st_size
            # The kernel reads further ahead for somebody who says that they read on.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            undo.pop_all()

    def _read_into(self, view, offset):
        with translated("read a file"):
            return os.preadv(self._file.fileno(), [view], offset)

    def publish(self):
        with self._folders.at_work("publish a file"):
            self._file.sync(os.fsync)  # 1: its new name never stands for bytes that a power cut takes
            self._folders.prepare(self._destination.parent)
            self._folders.prepare(self._staging.parent)
            if self._file.is_at(self._staging):
                # Somebody may be faster: the next line finds out.
                with contextlib.suppress(FileNotFoundError):
                    self._staging.rename(self._destination)  # 2
            if not self._file.is_at(self._destination):
                raise FileNotFoundError(errno.ENOENT, "neither staged nor stored", str(self._destination))
            # 3: also after somebody else's rename, who may have died before this. The new name first.
            sync_folder(self._destination.parent)
            sync_folder(self._staging.parent)

    def close(self):
        self._file.close()


class LocalNewObject(NewObject):
    """An object that is being written at its place, under a name that no row has."""

    def __init__(self, key, path, folder):
        super().__init__(key)
        self.folder = folder
        self._file = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def write(self, data):
        view = memoryview(data).cast("B")
        with translated("write an object"):
            while view:
                view = view[self._file.write(view) :]

    def send(self):
        """Ask the kernel to begin writing the bytes out, without a wait for them."""
        # It is what this advice does first; pages that are on their way stay where they are.
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self):
        """Make the bytes durable."""
        os.fsync(self._file.fileno())

    def close(self):
        with contextlib.suppress(OSError):
            self._file.close()


class LocalObject(StoredObject):
    """An object, open for reading; it can be read to its end even when it is removed meanwhile."""

    def __init__(self, path):
        self._file = open_file(path, os.O_RDONLY)
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, offset, length):
        with translated("read an object"):
            return os.pread(self._file.fileno(), length, offset)

    def close(self):
        with contextlib.suppress(OSError):
            self._file.close()

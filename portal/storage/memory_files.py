"""A file in memory, and what it is opened for: as `ranges` is to a local file."""

from portal.storage.base import NoSpace, RangeBusy
from portal.storage.handles import HeldFile, NewObject, PartRange, StoredObject


class MemoryFile:
    """The bytes of one file, its locks, and where bytes were written; used under the storage's mutex."""

    def __init__(self, now):
        self.data = bytearray()
        self.locks: dict[object, tuple[int, float]] = {}
        self.spans: list[tuple[int, int]] = []
        self.changed = now

    def try_lock(self, owner, start, end):
        """Lock start..end for `owner` unless another has any of it."""
        if any(who is not owner and a < end and start < b for who, (a, b) in self.locks.items()):
            return False
        self.locks[owner] = (start, end)
        return True

    def put(self, view, offset, now):
        """Write bytes and remember where."""
        self.grow(offset + len(view))
        self.data[offset : offset + len(view)] = view
        if self.spans and self.spans[-1][1] == offset:
            offset = self.spans.pop()[0]
        self.spans.append((offset, offset + len(view)))
        self.changed = now

    def grow(self, size):
        """Make the file at least `size` bytes long."""
        self.data.extend(bytes(max(0, size - len(self.data))))


class MemoryPartRange(PartRange):
    """A byte range of a file in memory."""

    def __init__(self, storage, file, offset, length):
        super().__init__(offset, length)
        self._storage, self._file = storage, file

    def try_lock(self):
        with self._storage.mutex:
            self.locked = self._file.try_lock(self, self.offset, self.offset + self.length)
        return self.locked

    def holds_data(self):
        end = self.offset + self.length
        with self._storage.mutex:
            return any(a < end and self.offset < b for a, b in self._file.spans)

    def reserve(self):
        end = self.offset + self.length
        with self._storage.mutex:
            if end - len(self._file.data) > self._storage.free_bytes():
                raise NoSpace("Could not reserve space for a part: the memory that was given is full.")
            self._file.grow(end)

    def _put(self, view, offset):
        with self._storage.mutex:
            self._file.put(view, offset, self._storage.clock())

    def sync(self):
        """Nothing survives a power cut here."""

    def close(self):
        with self._storage.mutex:
            self.locked = False
            self._file.locks.pop(self, None)


class MemoryHeldFile(HeldFile):
    """A whole file in memory, under one lock."""

    def __init__(self, storage, file, staging_key, object_key):
        self._storage, self._file, self._staging, self._object = storage, file, staging_key, object_key
        if not file.try_lock(self, 0, float("inf")):
            raise RangeBusy("Somebody is writing to the file, or holds it.")
        self.size = len(file.data)

    def _read_into(self, view, offset):
        block = self._file.data[offset : offset + len(view)]
        view[: len(block)] = block
        return len(block)

    def publish(self):
        with self._storage.mutex:
            staging, objects = self._storage.files["staging"], self._storage.files["objects"]
            if staging.get(self._staging) is self._file:
                objects[self._object] = staging.pop(self._staging)
                self._file.changed = self._storage.clock()
            if objects.get(self._object) is not self._file:
                raise FileNotFoundError(self._object)

    def close(self):
        with self._storage.mutex:
            self._file.locks.pop(self, None)


class MemoryNewObject(NewObject):
    """An object in memory that is being written."""

    def __init__(self, storage, file, key):
        super().__init__(key)
        self._storage, self._file = storage, file

    def write(self, data):
        view = memoryview(data).cast("B")
        with self._storage.mutex:
            if len(view) > self._storage.free_bytes():
                raise NoSpace("Could not write an object: the memory that was given is full.")
            self._file.put(view, len(self._file.data), self._storage.clock())

    def close(self):
        """Nothing is held."""


class MemoryObject(StoredObject):
    """An object in memory, open for reading."""

    def __init__(self, file):
        self._file, self.size = file, len(file.data)

    def read(self, offset, length):
        return bytes(self._file.data[offset : offset + length])

    def close(self):
        self._file = MemoryFile(0)

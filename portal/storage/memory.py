"""Bytes in this process's memory, for tests of services and for trying things out.

What is stored where: in dictionaries by kind and key. It needs no permission. What it does not do: nothing
survives the process, and other processes see nothing of it, so that `get_storage` never gives it. Everything
else is as on a disk: locks on ranges, data that an unfinished writer left, a limit that can be full.
"""

import threading
import time

from portal.storage.base import HeldFile, NewObject, NoSpace, PartRange, RangeBusy, Storage, StoredObject
from portal.storage.keys import check_key, trash_name


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


class MemoryStorage(Storage):
    """The contract in dictionaries; `capacity` in bytes makes it run full, `clock` makes things old."""

    backend = "memory"

    def __init__(self, *, capacity=2**40, clock=time.time):
        self.files = {"staging": {}, "objects": {}, "trash": {}}
        self.capacity, self.clock, self.mutex = capacity, clock, threading.RLock()

    def create_staging(self, key):
        check_key("staging", key)
        with self.mutex:
            if key in self.files["staging"]:
                raise FileExistsError(key)
            self.files["staging"][key] = MemoryFile(self.clock())

    def open_part(self, key, *, offset, length):
        return MemoryPartRange(self, self._find("staging", key), offset, length)

    def hold(self, staging_key, object_key):
        check_key("objects", object_key)
        with self.mutex:
            try:
                file = self._find("staging", staging_key)
            except FileNotFoundError:
                file = self._find("objects", object_key)
            return MemoryHeldFile(self, file, staging_key, object_key)

    def create_object(self, key):
        check_key("objects", key)
        with self.mutex:
            if key in self.files["objects"]:
                raise FileExistsError(key)
            file = self.files["objects"][key] = MemoryFile(self.clock())
        return MemoryNewObject(self, file, key)

    def finish_objects(self, objects):
        for new in objects:
            new.close()

    def open_object(self, key):
        return MemoryObject(self._find("objects", key))

    def remove_staging(self, key):
        self._take("staging", key)

    def remove_object(self, key):
        self._take("objects", key)

    def trash_staging(self, key):
        self._trash("staging", key)

    def trash_object(self, key):
        self._trash("objects", key)

    def purge_trash(self, name):
        self._take("trash", name)

    def old_keys(self, kind, *, older_than_seconds):
        now = self.clock()
        with self.mutex:
            old = [key for key, file in self.files[kind].items() if now - file.changed > older_than_seconds]
        yield from old

    def count_keys(self, kind):
        return len(self.files[kind])

    def age_seconds(self, kind, key):
        file = self.files[kind].get(check_key(kind, key))
        return file and self.clock() - file.changed

    def free_bytes(self):
        with self.mutex:
            used = sum(len(file.data) for files in self.files.values() for file in files.values())
        return max(0, self.capacity - used)

    def check(self):
        """Memory always answers."""

    def _find(self, kind, key):
        try:
            return self.files[kind][check_key(kind, key)]
        except KeyError:
            raise FileNotFoundError(key) from None

    def _take(self, kind, key):
        with self.mutex:
            return self.files[kind].pop(check_key(kind, key), None)

    def _trash(self, kind, key):
        with self.mutex:
            file = self._take(kind, key)
            if file is not None:
                file.changed = self.clock()
                self.files["trash"][trash_name(kind, key)] = file


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

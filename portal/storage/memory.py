"""Bytes in this process's memory, for tests of services and for trying things out.

What is stored where: in dictionaries by kind and key. It needs no permission. What it does not do: nothing
survives the process, and other processes see nothing of it, so that `get_storage` never gives it. Everything
else is as on a disk: locks on ranges, data that an unfinished writer left, a limit that can be full.
"""

import threading
import time

from portal.storage.base import Storage
from portal.storage.keys import check_key, trash_name
from portal.storage.memory_files import MemoryFile, MemoryHeldFile, MemoryNewObject, MemoryObject, MemoryPartRange


class MemoryStorage(Storage):
    """The contract in dictionaries; `capacity` in bytes makes it run full, `clock` makes things old."""

    backend = "memory"

    def __init__(self, *, capacity=2**40, clock=time.time):
        self.files = {"staging": {}, "objects": {}, "trash": {}}
        self.capacity, self.clock, self.mutex = capacity, clock, threading.RLock()

    def create_staging(self, key, *, single=False):
        check_key("staging", key)
        with self.mutex:
            if key in self.files["staging"]:
                raise FileExistsError(key)
            self.files["staging"][key] = MemoryFile(self.clock())
        return ""

    def open_part(self, key, *, offset, length, number=1, upload=""):
        return MemoryPartRange(self, self._find("staging", key), offset, length)

    def hold(self, staging_key, object_key, *, upload="", etags=()):
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

    def copy_objects(self, sources, *, seconds):
        copied, objects = set(), self.files["objects"]
        with self.mutex:
            for key, source in sources.items():
                if check_key("objects", source) in objects:
                    objects[check_key("objects", key)] = file = MemoryFile(self.clock())
                    file.data[:] = objects[source].data
                    copied.add(key)
        return copied

    def open_object(self, key):
        return MemoryObject(self._find("objects", key))

    def remove_staging(self, key, *, upload=None):
        self._take("staging", key)

    def remove_object(self, key):
        self._take("objects", key)

    def trash_staging(self, key, *, upload=None):
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

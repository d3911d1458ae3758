"""Bytes on a disk of this machine.

What is stored where, below one root: `staging/<key>` are files on their way in, each part at its place;
`objects/<key>` are whole files, each written once and never changed (one that comes in one request is written
right there, and no row names it before it is whole; bytes that are known already get one more name, a hard
link); `trash/<kind>-<key>` is what no row named, kept for a day.
Nothing here is named by a client, and no list is kept: the rows say what is what.

Permissions: the user of the server and of the worker must own the root or be able to make it, and read, write
and search it. Folders are made 0700, files 0600. It needs no privilege.

What it does not do: it is for one host at a time, and refuses network file systems and platforms without
open-file-description locks. It copies nothing to a second disk, does not encrypt, removes no empty folder,
and cannot know at its start whether the right disk is mounted; one that goes away later is noticed. It
decides nothing: who may remove what, and when, is the services' to say.
"""

import contextlib
import os
import time
import uuid
from pathlib import Path

from portal.storage.base import Storage
from portal.storage.descriptors import link_file, open_file, refuse_without_locks, sync_folder
from portal.storage.folders import Folders
from portal.storage.keys import trash_name
from portal.storage.ranges import LocalHeldFile, LocalNewObject, LocalObject, LocalPartRange


class LocalStorage(Storage):
    """A folder on a local disk; refuses, at construction, a place where its promises would not hold."""

    backend = "local"
    swift = True

    def __init__(self, root, *, clock=time.time):
        refuse_without_locks()
        self._folders = Folders(Path(root))
        self._clock = clock

    def create_staging(self, key, *, single=False):
        path = self._folders.path("staging", key)
        with self._folders.at_work("create a staging file"):
            self._folders.prepare(path.parent)
            open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL).close()
            sync_folder(path.parent)
        return ""

    def open_part(self, key, *, offset, length, number=1, upload=""):
        path = self._folders.path("staging", key)
        with self._folders.at_work("open a staging file"):
            return LocalPartRange(path, offset, length)

    def hold(self, staging_key, object_key, *, upload="", etags=()):
        staging, destination = (
            self._folders.path("staging", staging_key),
            self._folders.path("objects", object_key),
        )
        return LocalHeldFile(self._folders, staging, destination)

    def create_object(self, key):
        path = self._folders.object_path(key)
        folder = path.rpartition("/")[0]
        with self._folders.at_work("create an object"):
            if folder in self._folders:
                # Most of a group lie in one folder, which was there a moment ago; `finish_objects` makes sure once.
                with contextlib.suppress(FileNotFoundError):
                    return LocalNewObject(key, path, folder)
            self._folders.prepare(Path(folder))
            return LocalNewObject(key, path, folder)

    def finish_objects(self, objects):
        objects = list(objects)
        with self._folders.at_work("finish an object"):
            self._folders.confirm()
            # All are sent first, so that one commit of the file system's journal serves as many as can be.
            for new in objects if len(objects) > 1 else ():
                new.send()
            for new in objects:
                new.sync()
            for folder in {new.folder for new in objects}:
                sync_folder(folder)
        for new in objects:
            new.close()

    def copy_objects(self, sources, *, seconds):
        until, linked = time.monotonic() + seconds, {}
        with self._folders.at_work("link an object"):
            for key, source in sources.items():
                path, there = self._folders.path("objects", key), self._folders.path("objects", source)
                if time.monotonic() > until:
                    break
                self._folders.prepare(path.parent)
                if link_file(there, path):
                    linked[key] = path.parent
            for folder in set(linked.values()):
                sync_folder(folder)
        return set(linked)

    def open_object(self, key):
        path = self._folders.path("objects", key)
        with self._folders.at_work("open an object"):
            return LocalObject(path)

    def remove_staging(self, key, *, upload=None):
        self._remove("staging", key)

    def remove_object(self, key):
        self._remove("objects", key)

    def trash_staging(self, key, *, upload=None):
        self._trash("staging", key)

    def trash_object(self, key):
        self._trash("objects", key)

    def purge_trash(self, name):
        self._remove("trash", name)

    def old_keys(self, kind, *, older_than_seconds):
        now = self._clock()
        for key, entry in self._folders.entries(kind):
            old = None
            with contextlib.suppress(FileNotFoundError), self._folders.at_work(f"list {kind}"):
                if now - _changed(entry.stat(follow_symlinks=False)) > older_than_seconds:
                    old = key
            if old:
                yield old

    def count_keys(self, kind):
        return sum(1 for _ in self._folders.entries(kind))

    def age_seconds(self, kind, key):
        path = self._folders.path(kind, key)
        try:
            with self._folders.at_work("look at a file"):
                return self._clock() - _changed(path.lstat())
        except FileNotFoundError:
            return None

    def free_bytes(self):
        with self._folders.at_work("ask for free space"):
            status = os.statvfs(self._folders.root)
        return status.f_bavail * status.f_frsize

    def check(self):
        self._folders.confirm()
        # In the trash, where one that a crash leaves is purged; under a new name, since many may check.
        probe = self._folders.path("trash", f"probe-{uuid.uuid4().hex}")
        with self._folders.at_work(f"write to the storage folder {self._folders.root}"):
            with open_file(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
                try:
                    file.write(b"probe")
                    os.fsync(file.fileno())
                finally:
                    probe.unlink(missing_ok=True)
            sync_folder(probe.parent)

    def _remove(self, kind, key):
        path = self._folders.path(kind, key)
        with self._nothing_when_gone("remove a file"):
            path.unlink()
            sync_folder(path.parent)

    def _trash(self, kind, key):
        path = self._folders.path(kind, key)
        target = self._folders.path("trash", trash_name(kind, key))
        with self._nothing_when_gone("move a file to the trash"):
            path.rename(target)
            # The new name first: a power cut between the two leaves two names rather than none.
            sync_folder(target.parent)
            sync_folder(path.parent)

    @contextlib.contextmanager
    def _nothing_when_gone(self, doing):
        with contextlib.suppress(FileNotFoundError), self._folders.at_work(doing):
            yield


def _changed(status):
    # A rename keeps mtime and moves ctime; a restored backup may bring an old mtime with it.
    return max(status.st_mtime, status.st_ctime)

"""The folders of a local root: made durably, listed as a stream, and missed when their disk goes away."""

import contextlib
import os
from pathlib import Path

from portal.storage.base import StorageMisconfigured, StorageUnavailable
from portal.storage.descriptors import sync_folder, translated
from portal.storage.keys import KEY_SHAPES, check_key
from portal.storage.mounts import find_mount, read_mounts, refuse_network

KINDS = tuple(KEY_SHAPES)
#: How many folders lie between that of the kind and the file.
DEPTHS = {"staging": 1, "objects": 2, "trash": 0}


class Folders:
    """`staging`, `objects` and `trash` below one root, on one file system."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        refuse_network(self.root, read_mounts())
        try:
            with translated(f"prepare the storage folder {self.root}"):
                _make_with_parents(self.root)
                for kind in KINDS:
                    _make(self.root / kind)
        except FileNotFoundError as error:
            # The parents are there by then: this is how /proc says that nobody makes a folder in it.
            raise StorageUnavailable(f"No folder can be made at {self.root}.") from error
        self._refuse_borders()
        self._kinds = {kind: self.root / kind for kind in KINDS}
        self._seen = {kind: self._identity(kind) for kind in KINDS}
        # Folders below the kinds whose own names are known to be durable; at most some 66,000.
        self._durable: set[str] = set()
        self._objects = f"{self.root}/objects/"

    def path(self, kind, key):
        """Return where `key` lives; refuses what does not have the shape of a key with ValueError."""
        return self.root / kind / check_key(kind, key)

    def object_path(self, key):
        """Return where an object of this key lives, as a text: a Path costs half as much as to make the file."""
        return self._objects + check_key("objects", key)

    def __contains__(self, folder):
        """Whether the folder of this text was prepared before: its name is durable if it is still there."""
        return folder in self._durable

    def prepare(self, folder):
        """Make sure that `folder`, below that of its kind, is there and its name durable."""
        if folder.parent == self.root:
            return self.confirm()
        self.prepare(folder.parent)
        # Another thread may have made it a moment ago and not synced it yet: EEXIST alone proves nothing.
        if str(folder) not in self._durable or not folder.is_dir():
            _make(folder)
            self._durable.add(str(folder))

    def at_work(self, doing):
        """Translate errors; in it a FileNotFoundError passes only if the folders are still those of the start."""
        return _AtWork(self, doing)

    def confirm(self):
        """Raise StorageUnavailable unless the folders are those of the start: a disk may have gone."""
        for kind in KINDS:
            try:
                there = self._identity(kind) == self._seen[kind]
            except FileNotFoundError:
                there = False
            if not there:
                raise StorageUnavailable(f"The storage folder {self.root / kind} is gone or is another one.")

    def entries(self, kind):
        """Yield `(key, entry)` of each file with the shape of a key: nothing else in the folders is ours."""
        with self.at_work(f"list {kind}"):
            yield from _walk(self.root / kind, "", DEPTHS[kind], KEY_SHAPES[kind])

    def _identity(self, kind):
        status = self._kinds[kind].stat()
        return status.st_dev, status.st_ino

    def _refuse_borders(self):
        mounts, folders = read_mounts(), [self.root / kind for kind in KINDS]
        for folder in folders:
            refuse_network(folder.resolve(), mounts)
        # Two mounts of one file system are a border for rename as well; so are subvolumes within one mount.
        if len({(find_mount(folder.resolve(), mounts)[0], folder.stat().st_dev) for folder in folders}) > 1:
            raise StorageMisconfigured(
                f"staging, objects and trash in {self.root} must be on one file system and in one mount, so "
                "that a file can be renamed from one to the other."
            )


class _AtWork(translated):
    __slots__ = ("_folders",)

    def __init__(self, folders, doing):
        super().__init__(doing)
        self._folders = folders

    def __exit__(self, kind, error, trace):
        if isinstance(error, FileNotFoundError):
            with translated(self._doing):
                self._folders.confirm()
        super().__exit__(kind, error, trace)


def _walk(folder, prefix, depth, shape):
    try:
        listing = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        if not prefix:
            raise
        return
    with listing:
        for entry in listing:
            key = prefix + entry.name
            if depth:
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path, f"{key}/", depth - 1, shape)
            elif shape.fullmatch(key):
                yield key, entry


def _make(folder):
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    sync_folder(folder.parent)


def _make_with_parents(root):
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    for folder in reversed(missing):
        _make(folder)
    if not missing:
        # An earlier start may have died before it synced it. A parent of somebody else's may be unreadable.
        with contextlib.suppress(PermissionError):
            sync_folder(root.parent)

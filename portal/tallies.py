"""Counts of one process that its neighbours on this machine can read: one small file each, in a common folder.

A count is there for every reader at once, also after `kill -9`: a file is memory that the kernel shares. Its space is
reserved when it is made, since a write to memory that a full disk has no room for would end the process. A process
holds a lock on its file for life; whoever comes next adds what the dead have left to one file and removes theirs, so
that no count ever goes back.
"""

import fcntl
import json
import logging
import mmap
import os
import struct
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

logger = logging.getLogger("portal.metrics")

#: Of one process's file: room for several thousand counts. Those beyond are kept in the process alone.
FILE_BYTES = 512 * 2**10
RETIRED = "retired.json"
#: An entry: the length of its key, the count, the key (JSON), padded to 8 bytes. A length of 0 ends the list.
_HEAD = struct.Struct("=qd")


class Tallies:
    """Counts by key, a tuple of words: those of this process and, once they are shared, those of its neighbours."""

    def __init__(self):
        self._mutex = threading.Lock()
        self._own: Counter = Counter()
        self._places: dict[tuple, int] = {}
        self._end = 0
        self._map = None
        self.folder = None
        self.path = None

    def share(self, folder):
        """From now on keep the counts in a file of `folder`; where it cannot be made, in this process alone."""
        folder = Path(folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(folder, fcntl.LOCK_EX):
                _retire_the_dead(folder)
                path = folder / f"{uuid4().hex}.tally"
                made = _make_file(path)
        except OSError as error:
            logger.warning("counts of this process are not shared: %s", error)
            return
        with self._mutex:
            self._map, self._end, self.folder, self.path = made, 0, folder, path
            self._places = {}
            for key in self._own:
                self._put(key)

    def add(self, amounts):
        """Add each of `amounts`, pairs of a key and a number."""
        with self._mutex:
            for key, amount in amounts:
                self._own[key] += amount
                self._put(key)

    def read(self):
        """Return the counts by key, summed over the processes of this machine, dead ones included."""
        with self._mutex:
            total = Counter(self._own)
        if self.folder is not None:
            with _locked(self.folder, fcntl.LOCK_SH):
                for values in _read_others(self.folder, self.path):
                    total.update(values)
        return total

    def _put(self, key):
        place = self._places.get(key)
        if place is None and self._map is not None:
            place = self._places[key] = self._append(key)
        if place:
            struct.pack_into("=d", self._map, place, self._own[key])

    def _append(self, key):
        """Make an entry of `key`; return the place of its count, 0 when the file is full."""
        text = json.dumps(key).encode()
        size = -(-(_HEAD.size + len(text)) // 8) * 8
        start = self._end
        if start + size + _HEAD.size > FILE_BYTES:
            return 0
        self._map[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        # The length comes last: until then a reader sees the end of the list here.
        struct.pack_into("=q", self._map, start, len(text))
        self._end = start + size
        return start + 8


def _make_file(path):
    """Return the mapped file, whose descriptor stays open and locked for as long as this process lives."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, FILE_BYTES)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return mmap.mmap(descriptor, FILE_BYTES)
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise


def _read_entries(data):
    """Return the counts in the bytes of one file."""
    values, place = Counter(), 0
    while place + _HEAD.size <= len(data):
        length, value = _HEAD.unpack_from(data, place)
        if not length:
            break
        text = data[place + _HEAD.size : place + _HEAD.size + length]
        try:
            values[tuple(json.loads(text))] += value
        except (ValueError, TypeError):
            break  # what a power cut has left of a file: none of its pages need be there
        place += -(-(_HEAD.size + length) // 8) * 8
    return values


def _read_retired(folder):
    """Return `(names, counts)`: what the dead have left, and the names of the files that this was taken from."""
    try:
        kept = json.loads((folder / RETIRED).read_bytes())
        return set(kept["from"]), Counter({tuple(key): value for key, value in kept["counts"]})
    except FileNotFoundError:
        return set(), Counter()
    except (ValueError, TypeError, KeyError):
        # Counts are worth less than a start: they begin anew, as after any reset.
        logger.warning("counts of ended processes cannot be read and begin anew")
        return set(), Counter()


def _read_others(folder, own):
    names, values = _read_retired(folder)
    yield values
    for path in folder.glob("*.tally"):
        if path != own and path.name not in names:
            yield _read_entries(path.read_bytes())


def _retire_the_dead(folder):
    """Add the counts of dead processes to one file, which names theirs until they are gone: none counts twice."""
    names, values = _read_retired(folder)
    dead = [path for path in folder.glob("*.tally") if path.name in names or _is_dead(path)]
    for path in dead:
        if path.name not in names:
            values.update(_read_entries(path.read_bytes()))
    kept = {"from": [path.name for path in dead], "counts": [[list(key), value] for key, value in values.items()]}
    new = folder / f"{RETIRED}.new"
    with new.open("w") as file:
        json.dump(kept, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / RETIRED)
    for path in dead:
        path.unlink()


def _is_dead(path):
    """Whether nobody holds the file's lock any more."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def _locked(folder, kind):
    with (folder / "lock").open("ab") as file:
        fcntl.flock(file, kind)
        yield

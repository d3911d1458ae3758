"""What may go wrong in the middle of a call: its process dies, the storage or the database does not do what it should.

A fate is met at one point of the next call: a step of the storage, a writing statement, a COMMIT before or after it.
"""

import functools
import time
from collections import namedtuple

from django.db import OperationalError, connection

from portal.storage.base import NoSpace, Storage, StorageUnavailable
from portal.storage.memory_files import MemoryHeldFile, MemoryNewObject, MemoryPartRange
from tests.strict import StrictStorage

WRITES = ("INSERT", "UPDATE", "DELETE")
STEP, WRITE, BEFORE, AFTER = "step of the storage", "write", "before COMMIT", "after COMMIT"
#: What each kind is met at.
POINTS = {
    "kill": {STEP, WRITE, BEFORE, AFTER},
    "storage fails": {STEP},
    "storage is full": {STEP},
    "database fails": {WRITE, BEFORE},
    "answer is lost": {AFTER},
}
KINDS = sorted(POINTS)


class Killed(BaseException):
    """The process ends here; no `except Exception` sees it."""


Coming = namedtuple("Coming", "kind left")


class Clock:
    """Seconds since 1970, `ahead` of what they are."""

    ahead = 0

    def __call__(self):
        return time.time() + self.ahead


class Fate:
    """What comes to the next call: `arm` says what and when; `met` is what came, "" while nothing did."""

    def __init__(self):
        self.forget()

    def forget(self):
        """Nothing comes; whoever was dead is another process now."""
        self.coming, self.met, self.dead = None, "", False

    def arm(self, kind, number):
        """Let `kind` come at the `number`-th of its points, 1-based."""
        self.coming = Coming(kind, number)

    def at(self, point, name=""):
        """Pass a point: raises what comes to it; the dead pass none."""
        if self.dead:
            raise Killed
        if self.coming is None or point not in POINTS[self.coming.kind]:
            return
        self.coming = self.coming._replace(left=self.coming.left - 1)
        if self.coming.left:
            return
        kind, self.coming = self.coming.kind, None
        self.met = f"{kind} at {point} {name}"
        if kind == "kill":
            self.dead = True
            raise Killed
        if kind.startswith("storage"):
            raise NoSpace("made to be full") if kind == "storage is full" else StorageUnavailable("made to fail")
        raise OperationalError("made to fail")

    def statement(self, execute, sql, params, many, context):
        """Pass a statement on, as a wrapper of Django's."""
        if self.dead:
            raise Killed
        if sql.startswith(WRITES):
            self.at(WRITE, sql[:60])
        return execute(sql, params, many, context)


def _commit(fate, commit):
    """Commit as Django does, with the points on both sides of it; before it nothing is kept."""
    try:
        fate.at(BEFORE)
    except BaseException:
        connection.connection.rollback()
        raise
    commit()
    fate.at(AFTER)


def _met_before(fate, method):
    @functools.wraps(method)
    def fated(self, *args, **options):
        fate.at(STEP, method.__name__)
        return method(self, *args, **options)

    return fated


class PlainStorage(StrictStorage):
    """Bytes in memory that can be wiped, and whose locks end with a process."""

    def wipe(self):
        """Forget everything."""
        for files in self.files.values():
            files.clear()

    def release_locks(self):
        """The kernel gives up what a dead process had locked."""
        for files in self.files.values():
            for file in files.values():
                file.locks.clear()


def make_fated_storage(fate, monkeypatch):
    """Return bytes in memory, each step of which is a point of `fate`; they outlive the process, its locks do not."""
    steps = {
        name: _met_before(fate, getattr(StrictStorage, name)) for name in Storage.__abstractmethods__ - {"backend"}
    }
    for thing, names in (
        (MemoryPartRange, ("reserve", "_put", "sync")),
        (MemoryHeldFile, ("digest", "publish")),
        (MemoryNewObject, ("write",)),
    ):
        for name in names:
            monkeypatch.setattr(thing, name, _met_before(fate, getattr(thing, name)))
    # As quick as a disk: small files are stored and recorded in one step.
    return type("FatedStorage", (PlainStorage,), steps | {"swift": True})(clock=Clock())


def join_database(fate, monkeypatch, stack):
    """Make each write and each COMMIT of this thread's connection a point of `fate`."""
    stack.enter_context(connection.execute_wrapper(fate.statement))
    monkeypatch.setattr(connection, "_commit", functools.partial(_commit, fate, connection._commit))

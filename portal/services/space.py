"""Which storage has a file's bytes, and what services tell of its faults: full, or not answering."""

import logging
import threading
from contextlib import contextmanager

from django.conf import settings

from portal import exceptions
from portal.models.looks import once
from portal.storage import base, get_storage

logger = logging.getLogger("portal.storage")

#: So many threads of a process, of those that work for the JSON door, wait for the store at once; a turn so long.
TURNS, TURN_SECONDS = 4, 2
_turns, _inside = threading.BoundedSemaphore(TURNS), threading.local()


class storage_errors:
    """Turn the storage's exceptions into ours: no space is OutOfSpace, other faults are StorageUnavailable.

    A class, since a generator of contextlib costs three times as much, and a small file needs several.
    """

    __slots__ = ()

    def __enter__(self):
        pass

    def __exit__(self, _, error, __):
        if isinstance(error, base.NoSpace):
            logger.warning("storage is full: %s", error)
            raise exceptions.OutOfSpace from error
        if isinstance(error, base.StorageUnavailable):
            logger.error("storage fails: %s", error)
            raise exceptions.StorageUnavailable from error


@contextmanager
def storage_turn(storage):
    """Let a few at once wait for a store behind a network: the other threads serve those who need none.

    Raises StorageUnavailable when no turn is free soon. A folder answers at once: there is no waiting for it.
    """
    if storage.locks or getattr(_inside, "turn", False):
        yield
        return
    if not _turns.acquire(timeout=TURN_SECONDS):
        raise exceptions.StorageUnavailable("Too many wait for the storage.")
    _inside.turn = True
    try:
        yield
    finally:
        _inside.turn = False
        _turns.release()


def storage_of(backend, storage):
    """Return where the bytes of a row with this `storage_backend` are: `storage`, or the other one that is set."""
    if backend == storage.backend:
        return storage
    with storage_errors():
        return get_storage(backend)


def refuse_when_full(storage, wanted=0):
    """Raise OutOfSpace when `wanted` more bytes would leave less than PORTAL_MIN_FREE_BYTES free."""
    if not settings.PORTAL_MIN_FREE_BYTES:
        return
    with storage_errors():
        free = once(storage.free_bytes)
    if free - wanted < settings.PORTAL_MIN_FREE_BYTES:
        raise exceptions.OutOfSpace

"""The background work: the rows are the queue, and every round does what is due."""

import logging
import time
from dataclasses import asdict, dataclass
from functools import partial

from django.db import Error as AnyDatabaseError
from django.db import close_old_connections, connections

from portal.exceptions import PortalError
from portal.services import cleanup
from portal.services.finalize import finalize_again
from portal.services.part_claims import drop_old_claims
from portal.services.recounts import recount_some
from portal.services.retention import drop_old_deliveries
from portal.storage import get_storages

logger = logging.getLogger("portal.worker")

#: A finalize that waits for the worker has a client behind it; the rest is in no hurry.
POLL_SECONDS = 0.5
FINALIZES_A_ROUND = 10
EXPIRE_SECONDS = 30
SWEEP_SECONDS = 3600
#: How long a finalize that is under way may still take once a stop is asked for.
GRACE_SECONDS = 5


@dataclass
class Done:
    """How much one round of clean-up did."""

    expired: int = 0
    finalized: int = 0
    removed: int = 0
    swept: int = 0
    keys_dropped: int = 0
    deliveries_dropped: int = 0

    def __str__(self):
        return " ".join(f"{name}={count}" for name, count in asdict(self).items())


def clean_up(*, storage, sweep=True, progress=lambda step: None, stopped=lambda: False, hurried=lambda: False):
    """Do one whole round: expire, finalize what waits, remove dead bytes, sweep; return what was Done.

    `progress(step)` hears the name of each step as it begins. Once `stopped()` is true nothing more is begun; once
    `hurried()` is, a finalize that is under way is given back.
    """
    done = Done()

    def repeat(step):
        total = 0
        while not stopped() and (count := step()) > 0:
            total += count
        return total

    progress("expiring sessions")
    done.expired = repeat(lambda: cleanup.expire_sessions(storage=storage))
    progress("taking up finalizes")
    done.finalized = repeat(lambda: finalize_again(storage=storage, limit=1, hurried=hurried))
    progress("dropping old idempotency keys and claims")
    done.keys_dropped = repeat(cleanup.drop_old_idempotency_keys)
    repeat(drop_old_claims)
    progress("dropping old deliveries")
    done.deliveries_dropped = drop_old_deliveries(stopped=stopped)
    if not stopped():
        progress("removing dead bytes")
        done.removed = cleanup.remove_dead_bytes(storage=storage, stopped=stopped)
    if sweep and not stopped():
        progress("sweeping bytes that no row names")
        places = (storage, *_others(storage))
        done.swept = sum(cleanup.sweep_unnamed(storage=place, stopped=stopped) for place in places)
    return done


def _others(storage):
    """Return the storages that files may be in besides, while they are moved."""
    return [place for place in get_storages()[1:] if place.backend != storage.backend]


class Worker:
    """Does what is due until it is told to stop; a fault of database or storage is waited out."""

    def __init__(self, *, storage, stopped, now=time.monotonic):
        #: `stopped(seconds)` waits and is true when a stop is asked for.
        self.storage, self.stopped, self.now = storage, stopped, now
        self._clean_at = self._sweep_at = 0.0
        self._stop_seen_at = None
        self._pause = POLL_SECONDS

    def run(self):
        """Work until a stop is asked for; the step that is under way is brought to its end, no other is begun.

        A finalize, which may take hours, is given back when it does not end within GRACE_SECONDS.
        """
        while not self.stopped(self._pause):
            self.round()

    def round(self):
        """Do what is due now; return False when a fault ended it early."""
        close_old_connections()
        try:
            busy = self._work()
        except (PortalError, AnyDatabaseError, OSError) as error:
            # Nothing is half done: the rows still say what is due.
            logger.warning("worker waits: %s", error)
            connections.close_all()
            self._pause = min(self._pause * 2, EXPIRE_SECONDS)
            return False
        self._pause = 0 if busy else POLL_SECONDS
        return True

    def _work(self):
        """Do what is due now; return whether more finalizes may wait than one round takes up."""
        worked = 0
        while worked < FINALIZES_A_ROUND and not self.stopped(0):
            if not finalize_again(storage=self.storage, limit=1, hurried=self._hurried):
                break
            worked += 1
        if not self.stopped(0) and self.now() >= self._clean_at:
            self._clean()
        return worked == FINALIZES_A_ROUND

    def _clean(self):
        now = self.now()
        sweep = now >= self._sweep_at
        self._clean_at = now + EXPIRE_SECONDS
        self._sweep_at = now + SWEEP_SECONDS if sweep else self._sweep_at
        stopped = partial(self.stopped, 0)
        done = clean_up(storage=self.storage, sweep=sweep, stopped=stopped, hurried=self._hurried)
        recount_some(stopped=stopped)
        if any(asdict(done).values()):
            logger.info("cleaned up: %s", done)

    def _hurried(self):
        """Whether a stop was asked for that long ago that what is under way is to be given back."""
        if not self.stopped(0):
            return False
        if self._stop_seen_at is None:
            self._stop_seen_at = self.now()
        return self.now() - self._stop_seen_at >= GRACE_SECONDS

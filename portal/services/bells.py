"""Bells: end a loop's pause early when events are committed; what no bell told is found by polling."""

import logging
import threading
import time
from contextlib import suppress

from django.db import Error as AnyDatabaseError
from django.db import connection, transaction

logger = logging.getLogger("portal.worker")

CHANNEL = "portal_events"
#: A process tells of new events no more often, and a worker hears of them no more often.
REST_SECONDS = 0.1
#: How often a listener asks whether to stop; how long it waits before it connects again, at first and at most.
LISTEN_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1, 30

_told_at = 0.0


def announce_events():
    """Wake the workers once this transaction is committed; on SQLite they look for themselves."""
    if connection.vendor == "postgresql":
        transaction.on_commit(_notify)


def _notify():
    """Send NOTIFY by itself: in the transaction of the change it would let only one of them commit at a time."""
    global _told_at
    now = time.monotonic()
    if now - _told_at < REST_SECONDS:
        return
    _told_at = now
    # The change is committed whatever becomes of this.
    with suppress(AnyDatabaseError), connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")


class Stop(threading.Event):
    """The wish to stop; it ends the pause of whoever waits for one of its bells, too."""

    def __init__(self):
        super().__init__()
        self.bells = []

    def set(self):
        """Ask for it."""
        super().set()
        for bell in self.bells:
            bell.set()


class Bell(threading.Event):
    """Ends one loop's pause when it is set."""

    def __init__(self, stop):
        super().__init__()
        self.stop = stop
        stop.bells.append(self)

    def stopped(self, seconds):
        """Wait so long, or until it rings or a stop is asked for; return whether one is."""
        if seconds and not self.stop.is_set():
            self.wait(seconds)
            # Before the loop looks: what is told from here on is a ring of its own.
            self.clear()
        return self.stop.is_set()


class Listener:
    """Rings a bell when a process tells of new events, by a connection of its own to PostgreSQL; waits faults out."""

    def __init__(self, *, bell, stopped):
        #: `stopped(seconds)` waits and is true when a stop is asked for.
        self.bell, self.stopped = bell, stopped
        self._pause = 0

    def run(self):
        """Listen until a stop is asked for."""
        while not self.stopped(self._pause):
            try:
                self._listen()
            except (connection.Database.Error, OSError) as error:
                logger.warning("new events are found by polling alone: %s", error)
                self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)

    def _listen(self):
        with connection.Database.connect(**connection.get_connection_params(), autocommit=True) as ours:
            ours.execute(f"LISTEN {CHANNEL}")
            self._pause = 0
            while not self.stopped(0):
                # All that came together is one ring.
                if list(ours.notifies(timeout=LISTEN_SECONDS, stop_after=1)):
                    self.bell.set()
                    self.stopped(REST_SECONDS)

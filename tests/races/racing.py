"""Threads that start at the same moment, each with a database connection of its own."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from django.db import connection, connections

from portal import access
from portal.exceptions import PartBusy, PortalError
from portal.services.parts import begin_part

#: No race takes longer, however slow the machine; a thread that hangs fails the test.
PATIENCE_SECONDS = 60
#: A contender starts up to so much later than the others, in every third case: who is first changes.
HEAD_START_SECONDS = 0.004
#: So many at once at most.
MOST_CONTENDERS = 64
#: About as long as it takes to store a part: what is to meet one anywhere on its way starts up to so much later.
A_PART_SECONDS = 0.01


class Race:
    """Runs contenders against each other, on threads and connections that it keeps, as a server does."""

    def __init__(self, dice):
        self.dice = dice
        self._threads, self._connections = ThreadPoolExecutor(MOST_CONTENDERS), set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._threads.shutdown()
        for theirs in self._connections:
            theirs.inc_thread_sharing()
            theirs.close()

    def __call__(self, *contenders, behind=0):
        """Call each contender in a thread of its own; return for each what it returned, or the PortalError it raised.

        The last one starts up to `behind` seconds later, where it would win too often. Any other error is a defect,
        and raised.
        """
        barrier = threading.Barrier(len(contenders))
        delays = [self.dice.choice((0, 0, self.dice.uniform(0, HEAD_START_SECONDS))) for _ in contenders]
        delays[-1] += self.dice.uniform(0, behind)
        # All wait for each other, so that each has a thread, and with it a connection, of its own.
        lanes = [self._threads.submit(self._run, barrier, *lane) for lane in zip(delays, contenders, strict=True)]
        return [lane.result(PATIENCE_SECONDS) for lane in lanes]

    def _run(self, barrier, delay, contender):
        try:
            # A connection takes longer to open than many a race to run.
            connection.ensure_connection()
            self._connections.add(connections["default"])
            barrier.wait(PATIENCE_SECONDS)
            time.sleep(delay)
            return contender()
        except PortalError as error:
            return error


def put_part(caller, storage, session, number, data):
    """Store one part as the byte door does: wait for whoever holds the range, write in pieces, sync, record."""
    writer = begin_part(caller, session.pk, number, len(data), storage=storage)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not writer.recorded and not writer.acquire():
            if time.monotonic() > deadline:
                raise PartBusy
            time.sleep(0.001)
        for start in range(0, len(data), 16 * 1024):
            writer.write(data[start : start + 16 * 1024])
        writer.sync()
        return writer.record()
    finally:
        writer.close()


def fresh(caller, session):
    """Return the session as a door would read it now."""
    return access.get_session(caller, session.pk)


def refusals(results):
    """Return the codes of those results that are refusals, sorted."""
    return sorted(result.code for result in results if isinstance(result, PortalError))

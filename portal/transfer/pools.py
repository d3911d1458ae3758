"""The thread pools of a server process, and the blocking steps that one request takes in them."""

import asyncio
import contextvars
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from django.conf import settings
from django.db import close_old_connections

from portal.exceptions import ServerBusy
from portal.services.inspection import is_asked

#: Each thread keeps one database connection; more threads would only queue for the database instead of here.
DATABASE_THREADS = 8
#: Hashing and writing keep a core busy, so more than a few gain nothing; four let some wait for the disk. With a store
#: behind a network most wait for that.
IO_THREADS, REMOTE_IO_THREADS = 4, 16
#: Who waits for a scanner, which may take its time or be silent, holds up only others who want a verdict.
JUDGE_THREADS = 4
#: Who stores and records in one step waits for the disk and for the database: it must hold up nobody who needs only one
#: of them. A database connection each, too.
BOTH_THREADS = 4
#: A request that has stood in line for a database thread for longer is refused: whoever is at the database may hang in
#: it for half a minute (boot/asgi.py), and those behind would wait for one another.
QUEUE_SECONDS = 20.0

database = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="portal-database")
io = ThreadPoolExecutor(
    IO_THREADS if settings.PORTAL_STORAGE_URL.startswith("file:") else REMOTE_IO_THREADS,  # type: ignore[misc]
    thread_name_prefix="portal-io",
)
judges = ThreadPoolExecutor(JUDGE_THREADS, thread_name_prefix="portal-judges")
both = ThreadPoolExecutor(BOTH_THREADS, thread_name_prefix="portal-both")
#: Who asks only whether the process lives waits for nobody.
alive = ThreadPoolExecutor(1, thread_name_prefix="portal-alive")


class Places:
    """So many places in one process; for its event loop alone, which needs no lock to count."""

    def __init__(self, count):
        self.free = count

    def take(self):
        """Take one; return False when there is none."""
        if self.free < 1:
            return False
        self.free -= 1
        return True

    def leave(self):
        """Give one back."""
        self.free += 1


def in_unit(function, *args):
    """Call `function` as one unit of work on a database connection that is looked after."""
    # No Django signal fires outside its request, so a broken or aged connection is looked for here.
    close_old_connections()
    try:
        return function(*args)
    finally:
        close_old_connections()


def refuse_late(asked_at):
    """Raise ServerBusy for what has stood in line since `asked_at` (monotonic) for too long."""
    if time.monotonic() - asked_at > QUEUE_SECONDS:
        raise ServerBusy("The database keeps all that ask it waiting.")


def _call_in_time(asked_at, function, *args):
    refuse_late(asked_at)
    return function(*args)


def _call_and_tell(function, closed):
    try:
        function()
    finally:
        closed.set_result(None)


class Jobs:
    """The blocking steps of one request, one at a time; the last of them may outlive its coroutine.

    Cancelling a coroutine does not stop the thread that works for it, so what such a thread uses (a descriptor, a
    lock) is given back by `close`, which waits for the step that was started last.
    """

    def __init__(self):
        self._last = None

    async def run_io(self, function, *args):
        """Run one step of hashing, reading or writing in the I/O pool."""
        return await self._run(io, function, *args)

    async def run_judges(self, function):
        """Run one step that waits for verdicts in the pool for that; at once, where there is nothing to judge."""
        if is_asked():
            await self._run(judges, function)
        else:
            function()

    async def run_database(self, function, *args):
        """Run one step in the database pool, on a connection that is looked after; the first may raise ServerBusy."""
        return await self.start_database(function, *args)

    def start_database(self, function, *args):
        """Start such a step; return its future, of this event loop."""
        return self._start(database, in_unit, function, *args)

    async def run_request(self, function, pool=database):
        """Run one step of a Django request, whose own signals look after the connection."""
        return await self._run(pool, function)

    async def run_together(self, steps, key, item):
        """Take one step together with those that others ask for at once for the same `key` (a Together)."""
        self._last = steps.submit(key, item)
        return await asyncio.shield(self._last)

    async def close(self, function, pool=io):
        """Call `function` in `pool` once the last step has ended; goes on without a coroutine that is cancelled."""
        closed = Future()
        if pool is database:
            function = partial(in_unit, function)
        if self._last is None:
            closed.set_result(None)
        else:
            self._last.add_done_callback(lambda _: pool.submit(_call_and_tell, function, closed))
        await asyncio.shield(asyncio.wrap_future(closed))

    async def _run(self, pool, function, *args):
        return await self._start(pool, function, *args)

    def _start(self, pool, function, *args):
        if pool is database and self._last is None:
            # Nothing was done for the request yet.
            function = partial(_call_in_time, time.monotonic(), function)
        self._last = pool.submit(contextvars.copy_context().run, function, *args)
        return asyncio.wrap_future(self._last)

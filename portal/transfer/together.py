"""Steps that several requests for one batch ask for at the same time are taken together.

While one such step is under way, whoever asks for the next waits in line, and one more takes all of them: one thread is
woken, one lock taken, one commit waited for. Alone, nobody waits for anybody. A batch waits only for itself.
"""

import asyncio
import contextvars

from portal.transfer import pools

#: So many are taken together at most: the last of them waits for the bytes of all.
MOST = 64


class Together:
    """One kind of step: `work(items)`, in the pool so named, returns for each its outcome or the exception to raise.

    Used by event loops only.
    """

    def __init__(self, work, pool):
        self._work, self._pool = work, pool
        #: Those who wait, by (event loop, key); a line is there for as long as a step for its key is under way.
        self._lines = {}

    def submit(self, key, item):
        """Return the future of what becomes of `item`, among those of the same `key`."""
        loop = asyncio.get_running_loop()
        one = item, loop.create_future(), contextvars.copy_context()
        line = self._lines.get((loop, key))
        if line is None:
            self._lines[loop, key] = []
            self._start(loop, key, [one])
        else:
            line.append(one)
        return one[1]

    def _start(self, loop, key, taken):
        # What it logs has the request id of the first of those whom it is for.
        context = taken[0][2]
        getattr(pools, self._pool).submit(context.run, self._take, loop, key, taken)

    def _take(self, loop, key, taken):
        try:
            outcomes = pools.in_unit(self._work, [item for item, *_ in taken])
        except BaseException as error:  # noqa: BLE001 - each request has its own way of telling of it
            outcomes = [error] * len(taken)
        loop.call_soon_threadsafe(self._end, loop, key, taken, outcomes)

    def _end(self, loop, key, taken, outcomes):
        for (_, future, _), outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
                # Looked at here: who has left does not, and asyncio would log that as a fault.
                future.exception()
            else:
                future.set_result(outcome)
        line = self._lines.pop((loop, key))
        if line:
            self._lines[loop, key] = line[MOST:]
            self._start(loop, key, line[:MOST])

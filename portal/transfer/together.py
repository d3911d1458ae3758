"""Steps that several requests for one batch ask for at the same time are taken together.

While one such step is under way, whoever asks for the next waits in line, and one more takes all of them: one thread is
woken, one lock taken, one commit waited for. Those who have just been answered mostly ask again at once, so the line
waits for them as well while they keep coming. Alone, nobody waits for anybody. A batch waits only for itself.
"""

import asyncio
import contextvars
import math

from portal.transfer import pools

#: So many are taken together at most: the last of them waits for the bytes of all.
MOST = 64
#: Who waits goes without the others when none has come for so long, or twice that; where nobody waits, the line ends
#: after so many times that long. More gains nothing on a network with less than 5 ms, and costs time on all others.
LINGER_SECONDS, LINGERS = 0.003, 7


class Together:
    """One kind of step: `work(items)`, in the pool so named, returns for each its outcome or the exception to raise.

    Used by event loops only.
    """

    def __init__(self, work, pool):
        self._work, self._pool = work, pool
        #: By (event loop, key); a line is there while a step for its key is under way, or those whom it served may ask.
        self._lines = {}

    def submit(self, key, item):
        """Return the future of what becomes of `item`, among those of the same `key`."""
        loop = asyncio.get_running_loop()
        line = self._lines.get((loop, key))
        if line is None:
            line = self._lines[loop, key] = _Line(loop, key)
        one = item, loop.create_future(), contextvars.copy_context()
        line.waiting.append(one)
        if len(line.waiting) >= line.awaited:
            self._start(line)
        return one[1]

    def _start(self, line):
        taken, line.waiting = line.waiting[:MOST], line.waiting[MOST:]
        line.awaited = math.inf
        if line.timer:
            line.timer.cancel()
        # What it logs has the request id of the first of those whom it is for.
        context = taken[0][2]
        getattr(pools, self._pool).submit(context.run, self._take, line, taken)

    def _take(self, line, taken):
        try:
            outcomes = pools.in_unit(self._work, [item for item, *_ in taken])
        except BaseException as error:  # noqa: BLE001 - each request has its own way of telling of it
            outcomes = [error] * len(taken)
        line.loop.call_soon_threadsafe(self._end, line, taken, outcomes)

    def _end(self, line, taken, outcomes):
        for (_, future, _), outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
                # Looked at here: who has left does not, and asyncio would log that as a fault.
                future.exception()
            else:
                future.set_result(outcome)
        line.awaited = min(MOST, len(taken) + len(line.waiting))
        if len(line.waiting) >= line.awaited:
            self._start(line)
        elif line.awaited == 1:
            del self._lines[line.loop, line.key]
        else:
            # Not before the answers are on their way.
            line.timer = line.loop.call_soon(self._linger, line, -1, LINGERS)

    def _linger(self, line, came, left):
        """Wait on if there are more than `came`, or none; else start the next step with those who are there."""
        if len(line.waiting) > came or (not line.waiting and left):
            line.timer = line.loop.call_later(LINGER_SECONDS, self._linger, line, len(line.waiting), left - 1)
        elif line.waiting:
            self._start(line)
        else:
            del self._lines[line.loop, line.key]


class _Line:
    """Those who wait for the next step of one key, and how many they must be for it to start at once."""

    def __init__(self, loop, key):
        self.loop, self.key = loop, key
        self.waiting, self.awaited, self.timer = [], 1, None

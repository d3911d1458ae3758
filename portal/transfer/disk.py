"""Whether the disk takes bytes at once, so that they may be written where they came in: in the event loop.

A piece that is hashed and written where it was received is still in its core's cache, and no thread is woken for it: a
third of the CPU of an upload (aikb/benchmarks.md). The kernel takes it into its page cache within a tenth of a
millisecond, until the disk falls behind and the kernel makes writers wait: up to 0.2 s each time, for everybody in the
loop. So each write is timed, and after a slow one the pieces go to the threads of the pool for a while.
"""

import time

#: A write that took longer says that the kernel makes writers wait.
SLOW_SECONDS = 0.02
#: How long the pieces go to threads then, before the loop tries again.
REST_SECONDS = 30


class Disk:
    """How fast the storage took its last writes; used by one event loop."""

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._rests_until = float("-inf")

    @property
    def swift(self):
        """Whether the next piece may be written in the event loop."""
        return self._clock() >= self._rests_until

    def take(self, write, piece):
        """Call `write(piece)` here and now, and learn from how long it took."""
        began = self._clock()
        try:
            write(piece)
        finally:
            ended = self._clock()
            if ended - began > SLOW_SECONDS:
                self._rests_until = ended + REST_SECONDS


#: The one of this process.
disk = Disk()

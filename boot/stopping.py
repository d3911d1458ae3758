"""The stop of a server process, told to answers that have no end of their own and would hold it up."""

import asyncio
import contextlib
import signal

_told: set = set()


def tell_stop(callback):
    """Call `callback()` in this event loop when the process is asked to stop, beside what the server does then.

    Told once, at a request: only then has the server its own handlers in place. Nothing happens in another thread than
    the first, where no signal is handled.
    """
    loop = asyncio.get_running_loop()
    if callback in _told:
        return
    _told.add(callback)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):
            _chain(number, loop, callback)


def _chain(number, loop, callback):
    before = signal.getsignal(number)

    def handle(*arguments):
        # A loop that is closed has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(callback)
        if callable(before):
            before(*arguments)

    signal.signal(number, handle)
    # As the event loop's own handlers have it: system calls go on.
    signal.siginterrupt(number, False)

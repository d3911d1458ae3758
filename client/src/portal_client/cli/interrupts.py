"""Ctrl-C and SIGTERM: said at once, and the process ends soon, whatever its requests hang in."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

from portal_client.cli.telling import Asked, Exit, say_stop, screen

#: Longer than the crew waits for its threads: what takes so long does not end by itself.
END_SECONDS = 4.0
SHOW_CURSOR = b"\x1b[?25h"


def catch_signals() -> None:
    """Have both end the command; one that whoever started it wants ignored stays so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if Asked.stopping:
        return  # it ends already
    timer = threading.Timer(END_SECONDS, _give_up)
    timer.daemon = True
    timer.start()
    with suppress(OSError, RuntimeError):  # nobody reads, or it came in the midst of another line
        say_stop()
    raise KeyboardInterrupt


def _give_up() -> None:
    if screen.is_terminal:
        os.write(2, SHOW_CURSOR)  # a bar has hidden it
    os._exit(Exit.STOPPED)

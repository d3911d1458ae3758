"""`python -m portal_client` is `portal`: what stands here comes before all that takes a while to import."""

import os
import signal
from types import FrameType

STOPPED = 130


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Stopped before anything was done.\n")
    os._exit(STOPPED)


def main() -> None:
    """Run the command; a signal that comes before it is loaded ends it as quietly as one that comes later."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    from portal_client.cli import main as run  # noqa: PLC0415 - it imports all the rest

    run()


if __name__ == "__main__":
    main()

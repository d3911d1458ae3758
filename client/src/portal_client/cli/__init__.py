"""The command `portal`: a folder handed over by one line, to be run again at any time."""

import os
import sys
import threading
from contextlib import suppress

from portal_client.cli import batches, checks, downloads, login, seals, uploads
from portal_client.cli.app import app
from portal_client.cli.interrupts import catch_signals
from portal_client.cli.telling import Exit, in_words, say

__all__ = ["app", "batches", "checks", "downloads", "login", "main", "seals", "uploads"]


def main() -> None:
    """Run the command that the arguments name; SIGTERM ends it as Ctrl-C does."""
    catch_signals()
    try:
        code = _run()
    except KeyboardInterrupt:
        code = Exit.STOPPED
    except OSError as error:  # stdout or stderr takes no more
        code = Exit.FAILED
        with suppress(OSError):
            say(in_words(error))
        # What is left in the buffers would fail once more at the very end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nowhere, number)
    if threading.active_count() > 1:
        os._exit(code)  # a request that hangs would hold it up, or speak while all is torn down
    sys.exit(code)


def _run() -> int:
    try:
        app(prog_name="portal")
    except SystemExit as end:
        code = end.code
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()
    return code if isinstance(code, int) else Exit.FAILED

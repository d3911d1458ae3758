"""Bears small portals: each line on stdin forks a process that has all code loaded, and answers on a socket.

    python -m tests.crashes.nursery SOCKET TOKEN

A kill point costs a fork instead of a start, and everything happens in one thread, so that the N-th call of one run
is the N-th of the next.
"""

import gc
import importlib
import os
import signal
import sys
import traceback
from multiprocessing.connection import Client

import configurations


def serve(address, token, doors):
    """Answer requests, each a function's name and its arguments, until nobody asks any more."""
    doors.warm_up(f"Bearer {token}")
    with Client(address, "AF_UNIX") as line:
        line.send(os.getpid())
        while True:
            try:
                name, arguments = line.recv()
            except EOFError:
                return
            try:
                answer = (True, getattr(doors, name)(*arguments))
            except BaseException:  # noqa: BLE001 - whatever it is, whoever asked is to see it
                answer = (False, traceback.format_exc())
            line.send(answer)


def main():
    """Load everything once, then fork for each line."""
    address, token = sys.argv[1:]
    # Code that one run compiles and keeps would be calls that the next one does not make.
    sys.dont_write_bytecode = True
    configurations.setup()
    doors = importlib.import_module("tests.crashes.doors")
    importlib.import_module("boot.urls")
    # What every child would load again, and have its garbage collector look at again.
    doors.ask("GET", "/healthz", b"", {})
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = 1
            try:
                serve(address, token, doors)
                code = 0
            finally:
                os._exit(code)


if __name__ == "__main__":
    main()

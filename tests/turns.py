"""Turns of the processes of a run: many tests at once, or one whose bound is a time, with the machine to itself."""

import contextlib
import fcntl
from pathlib import Path

#: Two files that are there anyway, to be locked; two runs of one checkout take turns too.
ROOM = Path(__file__)
GATE = ROOM.with_name("conftest.py")


@contextlib.contextmanager
def turn(*, alone):
    """Hold a turn: beside others, or `alone`, once all of them have ended and before another begins."""
    with GATE.open() as gate, ROOM.open() as room:
        # Who is to be alone keeps the gate while those inside come to their end: nobody else goes in before.
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield

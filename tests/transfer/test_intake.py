"""A stream of nothing but refused members waits for nothing, and still leaves the others in the loop their turn."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace

from portal.exceptions import Invalid
from portal.transfer.intake import GROUP_FILES, Stream
from portal.transfer.members import Member

GROUPS = 10


class OnePiece:
    """A body of one piece."""

    complete = False

    def paced(self):
        """Return a context that does nothing."""
        return nullcontext()

    async def read(self):
        """Return the piece."""
        self.complete = True
        return b"x"


class AllRefused:
    """A reader whose members are all refused."""

    def feed(self, _):
        """Yield them."""
        yield from (Member(None, error=Invalid()) for _ in range(GROUPS * GROUP_FILES))

    def finish(self):
        """Nothing is missing."""


class Told:
    """Results that are taken at once."""

    def __init__(self):
        self.count = 0

    async def add(self, results):
        """Count them."""
        self.count += len(results)


def test_the_others_have_a_turn_after_each_group():
    async def run():
        told, turns = Told(), 0
        stream = Stream(None, SimpleNamespace(arrivals=[]), told)
        task = asyncio.ensure_future(stream.take_in(OnePiece(), AllRefused()))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        await task
        return told.count, turns

    count, turns = asyncio.run(run())
    assert count == GROUPS * GROUP_FILES
    assert turns > GROUPS

"""An answer is sent block by block: no faster than it is taken, and no longer than somebody is there."""

import asyncio

import pytest

from portal.transfer.exchange import Exchange
from portal.transfer.stream import STALL_SECONDS, ClientGone, send_blocks
from tests.transfer.wire import Wire, run_jumping


class Reader(Wire):
    """A client that takes `pause` seconds for each block, and leaves after `leaves` seconds."""

    def __init__(self, *, pause=0.0, leaves=None):
        super().__init__("GET", "/")
        self.pause, self.leaves = pause, leaves

    async def send(self, message):
        await asyncio.sleep(self.pause)
        await super().send(message)


def send_to(reader, blocks):
    """Send these blocks; return how many were asked for and how many seconds it took, or what was raised instead."""
    asked = 0
    source = iter(blocks)

    async def next_block():
        nonlocal asked
        asked += 1
        return next(source, b"")

    async def scene():
        loop = asyncio.get_running_loop()
        began = loop.time()
        if reader.leaves is not None:
            loop.call_later(reader.leaves, reader.leave)
        try:
            await send_blocks(Exchange(reader.scope, reader.receive, reader.send), next_block)
        except ClientGone as error:
            return asked, loop.time() - began, error
        return asked, loop.time() - began, None

    return run_jumping(scene())


def test_all_blocks_are_sent_and_the_end_is_told():
    reader = Reader()
    assert send_to(reader, [b"one", b"two"])[2] is None
    assert [(m["body"], m["more_body"]) for m in reader.messages] == [(b"one", True), (b"two", True), (b"", False)]


def test_a_slow_reader_is_waited_for():
    reader = Reader(pause=STALL_SECONDS - 1)
    _, seconds, error = send_to(reader, [b"x"] * 50)
    assert error is None
    assert seconds >= 50 * (STALL_SECONDS - 1)


def test_one_who_stops_reading_is_given_up_after_a_minute():
    asked, seconds, error = send_to(Reader(pause=10_000), [b"x"] * 50)
    assert isinstance(error, ClientGone)
    assert asked == 1
    assert STALL_SECONDS <= seconds <= STALL_SECONDS + 1


def test_one_who_leaves_while_a_block_waits_is_let_go_at_once():
    asked, seconds, error = send_to(Reader(pause=50, leaves=5), [b"x"] * 50)
    assert isinstance(error, ClientGone)
    assert (asked, round(seconds)) == (1, 5)


def test_one_who_leaves_between_blocks_costs_no_further_read():
    """The server takes what is sent to nobody without a word: only the watch beside it tells."""
    reader = Reader(pause=1, leaves=4.5)
    asked, _, error = send_to(reader, [b"x"] * 1000)
    assert isinstance(error, ClientGone)
    assert asked == 5
    assert all(message["more_body"] for message in reader.messages), "what broke off must not look whole"


def test_what_the_source_raises_passes_through():
    async def broken():
        raise OSError("the disk")

    reader = Reader()
    exchange = Exchange(reader.scope, reader.receive, reader.send)
    with pytest.raises(OSError, match="the disk"):
        run_jumping(send_blocks(exchange, broken))
    assert reader.messages == []


def test_one_who_leaves_as_a_block_is_taken_makes_no_noise():
    """The watch may find the client gone in the very turn of the loop in which the block is done with."""
    noise = []

    async def scene():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: noise.append(context))
        reader = Reader()

        async def send(message):
            taken = loop.create_future()
            loop.call_later(1, lambda: (reader.leave(), taken.set_result(None)))
            await taken

        async def next_block():
            return b"x"

        with pytest.raises(ClientGone):
            await send_blocks(Exchange(reader.scope, reader.receive, send), next_block)
        await asyncio.sleep(1)

    run_jumping(scene())
    assert noise == []

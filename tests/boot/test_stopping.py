"""The stop of a process is told in its event loop, once for each who asked, and the server still hears of it."""

import asyncio
import os
import signal

import pytest

from boot import stopping
from boot.stopping import tell_stop


@pytest.fixture(autouse=True)
def _handlers_come_back(monkeypatch):
    monkeypatch.setattr(stopping, "_told", set())
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_hear_of_it_once(number):
    heard = []

    def callback():
        heard.append("ours")

    async def scene():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(number, heard.append, "the server's")
        tell_stop(callback)
        tell_stop(callback)
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.1)

    asyncio.run(scene())
    assert sorted(heard) == ["ours", "the server's"]


def test_a_loop_that_is_closed_is_told_nothing():
    before = []
    signal.signal(signal.SIGTERM, lambda *_: before.append(1))

    async def scene():
        tell_stop(lambda: None)

    asyncio.run(scene())
    os.kill(os.getpid(), signal.SIGTERM)
    assert before == [1]

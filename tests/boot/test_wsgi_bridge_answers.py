"""The hop back from Django: answers are sent as they come and no faster than they are read, and always closed."""

import asyncio
import time

import pytest

from boot import wsgi_bridge
from boot.wsgi_bridge import WsgiBridge
from portal.transfer import stream
from tests.boot.wsgi_application import Application, anybody, call
from tests.transfer.wire import Wire


def test_an_answer_has_the_length_of_what_it_holds():
    wire = call(Application(b"one", b"two"), "GET")
    assert (wire.header("content-length"), wire.body) == ("6", b"onetwo")


def test_a_length_that_the_application_gives_stays():
    wire = call(Application(b"four", headers=[("Content-Length", "4"), ("X-A", " a ")]), "GET")
    assert (wire.header("content-length"), wire.header("x-a")) == ("4", "a")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_has_no_length(status):
    wire = call(Application(status=status), "GET")
    assert (wire.status, wire.header("content-length"), wire.ended) == (int(status[:3]), None, True)


def test_head_is_answered_with_the_length_alone():
    app = Application(b"body")
    wire = call(app, "HEAD")
    assert (wire.header("content-length"), wire.body, wire.ended) == ("4", b"", True)
    assert app.answer.closed == 1


def test_a_streamed_answer_is_sent_as_it_comes():
    def slowly():
        for number in range(4):
            time.sleep(2 * wsgi_bridge.BLOCK_SECONDS)
            yield b"%d" % number

    app = Application()
    app.answer.blocks = slowly()
    wire = call(app, "GET")
    assert wire.header("content-length") is None
    assert [message["body"] for message in wire.messages[1:] if message["body"]] == [b"0", b"1", b"2", b"3"]
    assert wire.ended
    assert app.answer.closed == 1


def test_a_streamed_answer_is_taken_no_faster_than_it_is_sent():
    app = Application(*[bytes(wsgi_bridge.BLOCK_BYTES)] * 50)
    ahead = []

    async def scene():
        wire = Wire("GET", "/")

        async def send(message):
            wire.messages.append(message)
            ahead.append(app.answer.given - len(wire.messages))

        wire.send = send
        return await wire.run(WsgiBridge(app, admit=anybody))

    assert len(asyncio.run(scene()).body) == 50 * wsgi_bridge.BLOCK_BYTES
    assert max(ahead) <= 1


def test_an_answer_whose_client_has_gone_is_closed():
    def endless():
        while True:
            yield bytes(wsgi_bridge.BLOCK_BYTES)

    app = Application()
    app.answer.blocks = endless()

    async def scene():
        wire = Wire("GET", "/")
        asyncio.get_running_loop().call_later(0.1, wire.leave)
        return await asyncio.wait_for(wire.run(WsgiBridge(app, admit=anybody)), 10)

    wire = asyncio.run(scene())
    assert wire.status == 200
    assert not wire.ended
    assert app.answer.closed == 1


def test_an_answer_that_nobody_reads_is_closed(monkeypatch):
    monkeypatch.setattr(stream, "STALL_SECONDS", 0.1)
    app = Application(*[bytes(wsgi_bridge.BLOCK_BYTES)] * 5)

    async def scene():
        wire = Wire("GET", "/")

        async def send(message):
            wire.messages.append(message)
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        wire.send = send
        return await asyncio.wait_for(wire.run(WsgiBridge(app, admit=anybody)), 10)

    assert not asyncio.run(scene()).ended
    assert app.answer.closed == 1


def test_an_answer_whose_request_is_cancelled_is_closed():
    app = Application(*[bytes(wsgi_bridge.BLOCK_BYTES)] * 5)

    async def scene():
        wire = Wire("GET", "/")
        stuck = asyncio.Event()

        async def send(message):
            stuck.set()
            await asyncio.Event().wait()

        wire.send = send
        task = asyncio.create_task(wire.run(WsgiBridge(app, admit=anybody)))
        await stuck.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(scene())
    assert app.answer.closed == 1


def test_an_application_that_fails_is_a_500():
    def app(environ, start_response):
        raise RuntimeError("a fault")

    wire = call(app, "GET")
    assert (wire.status, wire.code) == (500, "internal_error")


def test_an_answer_that_fails_on_its_way_is_broken_off_and_closed(caplog):
    def breaks():
        yield bytes(wsgi_bridge.BLOCK_BYTES)
        raise RuntimeError("a fault")

    app = Application()
    app.answer.blocks = breaks()
    wire = call(app, "GET")
    assert wire.status == 200
    assert not wire.ended
    assert app.answer.closed == 1
    assert "answer broke off" in caplog.text

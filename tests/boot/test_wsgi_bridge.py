"""The hop to Django: bodies are capped, and come whole or not at all."""

import asyncio

import pytest

from boot import wsgi_bridge
from boot.wsgi_bridge import MAX_BODY_BYTES, WsgiBridge
from tests.boot.wsgi_application import Application, anybody, call
from tests.transfer.wire import Wire

CHUNKED = "Transfer-Encoding: chunked"


def test_a_sized_body_comes_whole():
    app = Application(b"answer")
    wire = call(app, "POST", "/", "Content-Length: 4", body=b"body")
    assert (wire.status, wire.body, wire.ended) == (200, b"answer", True)
    assert app.bodies == [b"body"]
    assert app.environs[0]["CONTENT_LENGTH"] == "4"
    assert app.answer.closed == 1


def test_a_chunked_body_comes_whole_with_a_length():
    async def scene():
        wire = Wire("POST", "/", CHUNKED)
        for piece in (b"one", b"", b"two"):
            wire.feed(piece)
        wire.feed(b"three", more=False)
        return await wire.run(WsgiBridge(app, admit=anybody))

    app = Application()
    assert asyncio.run(scene()).status == 200
    assert app.bodies == [b"onetwothree"]
    assert app.environs[0]["CONTENT_LENGTH"] == "11"
    assert "HTTP_TRANSFER_ENCODING" not in app.environs[0]


def test_a_request_without_a_body_is_not_asked_for_one():
    app = Application()
    wire = call(app, "GET")
    assert wire.asked <= 1  # by whoever watches for the end of the connection
    assert "CONTENT_LENGTH" not in app.environs[0]


@pytest.mark.parametrize("lines", [["Content-Length: 10"], [CHUNKED]])
def test_a_body_that_breaks_off_never_reaches_the_application(lines):
    async def scene():
        wire = Wire("POST", "/", *lines)
        wire.feed(b"half")
        wire.leave()
        return await wire.run(WsgiBridge(app, admit=anybody))

    app = Application()
    wire = asyncio.run(scene())
    assert (wire.status, wire.code) == (400, "incomplete_body")
    assert app.environs == []


def test_a_body_that_ends_before_its_length_never_reaches_the_application():
    app = Application()
    wire = call(app, "POST", "/", "Content-Length: 10", body=b"half")
    assert (wire.status, wire.code) == (400, "incomplete_body")
    assert app.environs == []


@pytest.mark.parametrize("lines", [["Content-Length: x"], ["Content-Length: 1", "Content-Length: 2"]])
def test_a_length_that_is_none_is_refused(lines):
    app = Application()
    wire = call(app, "POST", "/", *lines, body=b"x")
    assert (wire.status, wire.code) == (400, "invalid")
    assert app.environs == []


def test_the_largest_body_is_taken():
    app = Application()
    assert call(app, "POST", "/", f"Content-Length: {MAX_BODY_BYTES}", body=bytes(MAX_BODY_BYTES)).status == 200
    assert len(app.bodies[0]) == MAX_BODY_BYTES


def test_a_larger_body_is_refused_by_its_length_alone():
    app = Application()
    wire = Wire("POST", "/", f"Content-Length: {MAX_BODY_BYTES + 1}", "Expect: 100-continue")
    asyncio.run(wire.run(WsgiBridge(app, admit=anybody)))
    assert (wire.status, wire.code) == (413, "body_too_large")
    assert (wire.asked, app.environs) == (0, [])


def test_a_larger_chunked_body_is_refused_as_it_grows():
    async def scene():
        wire = Wire("POST", "/", CHUNKED)
        for _ in range(3):
            wire.feed(bytes(MAX_BODY_BYTES // 2))
        wire.feed(more=False)
        return await wire.run(WsgiBridge(app, admit=anybody))

    app = Application()
    wire = asyncio.run(scene())
    assert (wire.status, wire.code) == (413, "body_too_large")
    assert wire.header("connection") == "close"
    assert app.environs == []


def test_all_bodies_together_are_capped_and_the_cap_recovers(monkeypatch):
    monkeypatch.setattr(wsgi_bridge, "MAX_HELD_BYTES", 250)
    app = Application()
    bridge = WsgiBridge(app, admit=anybody)

    async def scene():
        held = [Wire("POST", "/", "Content-Length: 101") for _ in range(2)]
        for wire in held:
            wire.feed(bytes(100))
        tasks = [asyncio.create_task(wire.run(bridge)) for wire in held]
        while bridge.held < 200:
            await asyncio.sleep(0)
        third = await Wire("POST", "/", "Content-Length: 100", body=bytes(100)).run(bridge)
        small = await Wire("GET", "/").run(bridge)
        held[0].leave()
        held[1].feed(b"x", more=False)
        await asyncio.gather(*tasks)
        return third, small, await Wire("POST", "/", "Content-Length: 100", body=bytes(100)).run(bridge)

    refused, small, taken = asyncio.run(scene())
    assert (refused.status, refused.code) == (503, "server_busy")
    assert int(refused.header("retry-after")) > 0
    assert (small.status, taken.status) == (200, 200)
    assert bridge.held == 0


def test_the_cap_of_all_bodies_is_64_mib():
    assert (wsgi_bridge.MAX_BODY_BYTES, wsgi_bridge.MAX_HELD_BYTES) == (2 * 2**20, 64 * 2**20)


def test_a_body_of_the_json_door_may_be_chunked(ann_api):
    def blocks():
        yield b'{"name": '
        yield b'"in pieces"}'

    answer = ann_api.call("POST", "/batches", data=blocks(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["name"]) == (201, "in pieces")


def test_the_running_server_caps_a_body_and_the_client_sees_it(ann_api):
    def blocks():
        yield from [bytes(2**20)] * 5

    for body in (bytes(5 * 2**20), blocks()):
        answer = ann_api.call("POST", "/batches", data=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

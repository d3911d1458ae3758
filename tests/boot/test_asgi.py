"""The server's application: a request id on every answer, one log line a request, and nothing held afterwards."""

import asyncio
import gc
import json
import logging
import re
import weakref

import pytest

from boot import asgi
from boot.asgi import application
from boot.logs import line_logger
from portal.transfer import body
from tests.patience import wait_until
from tests.transfer.wire import Wire, call, own_thread_pools

BYTE_DOOR = "/files/00000000-0000-0000-0000-000000000000/content"
PART = "/uploads/sessions/00000000-0000-0000-0000-000000000000/parts/1"


@pytest.fixture(autouse=True)
def threads(transactional_db, monkeypatch):
    """Threads of this test alone."""
    with own_thread_pools(monkeypatch):
        yield


def request_lines(capfd):
    """Return the lines that requests have written, parsed, and all of what was written."""
    text = capfd.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["logger"] == "portal.request"], text


@pytest.mark.parametrize("target", ["/limits", BYTE_DOOR, "/nowhere"])
@pytest.mark.parametrize("given", ["a", "A-1_2.3", "x" * 64])
def test_a_plain_request_id_is_taken_over(target, given):
    assert call("GET", target, f"X-Request-ID: {given}").header("x-request-id") == given


@pytest.mark.parametrize("target", ["/limits", BYTE_DOOR, "/nowhere"])
@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, "é", "a\r\nb", f"ptl_{'x' * 43}"])
def test_any_other_request_id_is_made_new(target, given):
    lines = [] if given is None else [f"X-Request-ID: {given}"]
    made = [call("GET", target, *lines).header("x-request-id") for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in made)
    assert made[0] != made[1]


@pytest.mark.parametrize("target", ["/limits", BYTE_DOOR])
def test_a_request_has_one_log_line_without_query_token_or_body(capfd, caplog, target):
    caplog.set_level(logging.DEBUG)
    lines = ["Authorization: Bearer ptl_secret-token", "Cookie: sessionid=secretcookie", "X-Request-ID: my-id"]
    wire = call("POST", f"{target}?secret=query", *lines, "Content-Length: 11", body=b"secret body")
    [written], text = request_lines(capfd)
    assert written["milliseconds"] >= 0
    line = {name: written[name] for name in ("event", "method", "path", "status", "request_bytes", "response_bytes")}
    assert line == {
        "event": "request",
        "method": "POST",
        "path": target,
        "status": wire.status,
        "request_bytes": 11,
        "response_bytes": len(wire.body),
    }
    assert (written["request_id"], written["level"]) == ("my-id", "info")
    assert written["timestamp"].endswith("Z")
    assert "secret" not in caplog.text + text


@pytest.mark.parametrize("target", ["/healthz", "/readyz"])
def test_a_health_check_is_logged_at_debug_only(capfd, monkeypatch, target):
    call("GET", target)
    assert request_lines(capfd)[0] == []
    monkeypatch.setattr(asgi, "logger", line_logger("portal.request", "DEBUG"))
    call("GET", target)
    assert [line["level"] for line in request_lines(capfd)[0]] == ["debug"]


def test_what_is_logged_inside_a_request_has_its_id(capfd, monkeypatch):
    def fail(exchange):
        raise RuntimeError("a fault that nobody named")

    monkeypatch.setattr("portal.transfer.send.identify", fail)
    wire = call("GET", BYTE_DOOR, "X-Request-ID: my-id")
    assert (wire.status, wire.code) == (500, "internal_error")
    assert "nobody named" not in wire.body.decode()
    assert [line["request_id"] for line in request_lines(capfd)[0]] == ["my-id"]


def test_a_request_that_is_cancelled_has_its_log_line(capfd):
    async def scene():
        task = asyncio.create_task(Wire("POST", "/batches", "Content-Length: 10").run())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(scene())
    assert [line["status"] for line in request_lines(capfd)[0]] == [None]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("PUT", PART, 401), ("GET", BYTE_DOOR, 401), ("PUT", "/files/x/content", 405), ("POST", "/batches", 408)],
)
def test_nothing_holds_a_connection_after_its_answer(monkeypatch, method, target, status):
    """The server closes a refused connection when it is dropped: the garbage collector may come minutes later."""
    monkeypatch.setattr(body, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(body, "TICK_SECONDS", 0.01)
    monkeypatch.setattr("portal.transfer.errors.DRAIN_SECONDS", 0.05)
    gc.disable()
    try:
        wire = Wire(method, target, "Content-Length: 10")
        asyncio.run(application(wire.scope, wire.receive, wire.send))
        assert wire.status == status
        held = weakref.ref(wire)
        del wire
        assert held() is None
    finally:
        gc.enable()


def test_the_servers_start_and_end_are_confirmed():
    async def scene():
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent = []

        async def receive():
            return next(messages)

        async def send(message):
            sent.append(message["type"])

        await application({"type": "lifespan"}, receive, send)
        return sent

    assert asyncio.run(scene()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_websocket_is_refused():
    wire = Wire("GET", "/batches")
    wire.scope["type"] = "websocket"
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(wire.run())


def test_the_running_servers_log_is_json_and_tells_no_secret(portal_server, ann_api):
    token = portal_server.create_token("ann")
    for path in ("/limits", BYTE_DOOR, "/batches"):
        headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "look-for-me"}
        ann_api.post(f"{path}?secret-query", {"name": "secret-body"}, headers=headers)
    # A line is written after its answer.
    wait_until(lambda: portal_server.log.read_text().count("look-for-me") == 3)
    text = portal_server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["path"] for line in lines if line.get("request_id") == "look-for-me"} == {
        "/limits",
        BYTE_DOOR,
        "/batches",
    }
    assert not re.search(f"{token}|secret-query|secret-body", text)

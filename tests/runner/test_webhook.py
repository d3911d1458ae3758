"""Webhooks as they go over the wire: signed, on time, and whatever the receiver does becomes an outcome."""

import contextlib
import json
import socket
import socketserver
import threading
import time

import pytest

from portal.runner import webhook
from portal.runner.base import Message, Target
from portal.runner.signature import read_keys
from portal.runner.webhook import WebhookRunner, open_socket, read_retry_after
from tests.receiver import ANSWERS, SECRET, Receiver

MESSAGE = Message("01890000-0000-7000-8000-000000000001", json.dumps({"name": "Grün"}).encode())


class Impatient(WebhookRunner):
    """One that waits half a second."""

    seconds = 0.5


@pytest.fixture
def receiver():
    """One that answers 204."""
    with Receiver() as receiver:
        yield receiver


def send(receiver, runner=None):
    """Send the message to a receiver once; return the outcome."""
    return (runner or WebhookRunner()).send(Target(receiver.url, read_keys(SECRET)), MESSAGE)


def test_a_message_is_one_signed_post_of_json(receiver):
    outcome = send(receiver)
    assert (outcome.status_code, outcome.error, outcome.delivered) == (204, "", True)
    (received,) = receiver.received
    assert received.line == "POST /hook?from=portal HTTP/1.1"
    assert received.body == MESSAGE.body
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == f"127.0.0.1:{receiver.server_address[1]}"
    assert received.event_id == MESSAGE.event_id
    assert abs(time.time() - int(received.headers["webhook-timestamp"])) < 60
    assert not receiver.badly_signed


def test_the_receiver_of_a_test_knows_a_bad_signature(receiver):
    receiver.secret = "whsec_" + "A" * 44
    send(receiver)
    assert receiver.badly_signed


@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        ("error", 500, ""),
        ("redirect", 302, ""),
        ("gone", 410, ""),
        ("garbage", None, "the answer is not HTTP"),
        ("reset", None, "Connection reset by peer"),
        ("silence", None, "closed without an answer"),
    ],
)
def test_what_is_no_success_is_an_outcome_and_sent_once(receiver, behaviour, status, error):
    with Receiver() as elsewhere:
        receiver.behave, receiver.elsewhere = lambda received: behaviour, elsewhere.url
        outcome = send(receiver)
        assert (outcome.status_code, outcome.error, outcome.delivered) == (status, error, False)
        assert outcome.gone == (behaviour == "gone")
        assert len(receiver.received) == 1
        assert not elsewhere.received


@pytest.mark.parametrize("behaviour", ["slow", "drip", "interim drip"])
def test_no_attempt_takes_longer_than_its_time(receiver, behaviour):
    receiver.behave = lambda received: behaviour
    started = time.monotonic()
    outcome = send(receiver, Impatient())
    assert (outcome.status_code, outcome.error) == (None, "timeout")
    assert 0.4 < time.monotonic() - started < 5
    assert outcome.milliseconds >= 400


def test_a_handshake_a_byte_at_a_time_is_cut_off_too(receiver):
    receiver.RequestHandlerClass = DrippingHandshake
    started = time.monotonic()
    target = Target(receiver.url.replace("http:", "https:"), (b"k",))
    assert Impatient().send(target, MESSAGE).error == "timeout"
    assert 0.4 < time.monotonic() - started < 5


class DrippingHandshake(socketserver.BaseRequestHandler):
    """Begins a record of TLS and brings it on a byte at a time."""

    def handle(self):
        self.request.sendall(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xf0")
        with contextlib.suppress(OSError):
            while not self.server.let_go.wait(0.02):
                self.request.sendall(b"x")


@pytest.mark.parametrize("secured", [False, True])
def test_a_receiver_that_takes_the_message_a_little_at_a_time_is_cut_off_too(secured):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line, over = Counted(ours, secured), threading.Event()

        def sip():
            while not over.wait(0.02):
                theirs.recv(1000)

        sipping = threading.Thread(target=sip)
        sipping.start()
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            webhook._send(line, bytes(64 * 2**20), started + 0.5)
        assert 0.4 < time.monotonic() - started < 5
        over.set()
        sipping.join()


class Counted:
    """A socket that, as one with TLS does, takes 16 KiB in one step at most."""

    def __init__(self, sock, secured):
        self.most, self.sock, self.settimeout = 16384 if secured else 2**30, sock, sock.settimeout

    def send(self, data):
        """Send the first of it."""
        return self.sock.send(data[: self.most])


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", (204, "", None)),
        (b"HTTP/1.0 100 Continue\nX: y\n\nHTTP/1.0 503 Busy\nretry-after:  7\n\n", (503, "", 7)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, "", None)),
        (b"HTTP/1.1 200 OK\r\nX: what broke off", (200, "", None)),
        (b"HTTP/1.1 100 Continue\r\n\r\n", (None, "closed without an answer", None)),
        (b"HTTP/1.1 1000 OK\r\n\r\n", (None, "the answer is not HTTP", None)),
        (b"HTTP/3 200 OK\r\n\r\n", (None, "the answer is not HTTP", None)),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", (None, "the answer is not HTTP", None)),
    ],
)
def test_of_an_answer_the_status_and_the_wish_to_wait_are_read(receiver, monkeypatch, answer, outcome):
    monkeypatch.setitem(ANSWERS, "ok", answer)
    found = send(receiver)
    assert (found.status_code, found.error, found.retry_after) == outcome


def test_an_answer_that_comes_in_pieces_is_read_to_its_empty_line(receiver):
    receiver.behave = lambda received: "pieces"
    assert send(receiver).retry_after == 7


def test_a_wish_to_wait_is_read(receiver):
    receiver.behave = lambda received: "busy"
    assert send(receiver).retry_after == 7


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[(None, None), ("", None), ("0", 0), (" 12 ", 12), ("soon", None), ("-5", None), ("9" * 40, 10**9)],
        *[("²", None), ("Mon, 01 Jan 2001 00:00:00 GMT", 0), ("Mon, 99 Jan 2001 00:00:00 GMT", None)],
    ],
)
def test_retry_after_is_a_number_or_a_date(text, seconds):
    assert read_retry_after(text) == seconds


def test_retry_after_may_be_a_date_to_come(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 978_307_190.0)
    assert read_retry_after("Mon, 01 Jan 2001 00:00:00 GMT") == 10


def test_nobody_there_is_an_outcome():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = Target(f"http://127.0.0.1:{taken.getsockname()[1]}/", (b"k",))
        assert WebhookRunner().send(target, MESSAGE).error == "Connection refused"


def test_a_name_without_an_address_is_an_outcome():
    target = Target("http://there-is-no-such-host.invalid/", (b"k",))
    assert WebhookRunner().send(target, MESSAGE).error == "the name has no address"


def test_tls_is_spoken_to_an_https_url(receiver):
    target = Target(receiver.url.replace("http:", "https:"), (b"k",))
    outcome = Impatient().send(target, MESSAGE)
    assert outcome.status_code is None
    assert outcome.error
    assert not [received for received in receiver.received if received.event_id]


def test_the_second_address_is_tried_when_the_first_does_not_answer(monkeypatch):
    with Receiver(host="127.0.0.2") as receiver:
        port = receiver.server_address[1]
        monkeypatch.setattr(webhook, "find_addresses", lambda host, seconds: ["127.0.0.3", "127.0.0.2"])
        with open_socket("any", port, time.monotonic() + 5) as sock:
            assert sock.getpeername() == receiver.server_address


def test_a_look_up_that_does_not_end_is_cut_off_like_anything_else(receiver, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [over.wait(30)][:0])
    started = time.monotonic()
    assert Impatient().send(Target("http://slow.example/", (b"k",)), MESSAGE).error == "timeout"
    assert time.monotonic() - started < 5
    over.set()


@pytest.mark.parametrize(
    "place",
    ["[::1]", "[fd00::beef]", "[2606:4700:4700::1111]", "[fd00::beef]:8080", "a.example", "a.example:8080"],
)
def test_the_host_that_is_named_is_that_of_the_url_also_without_a_port(receiver, monkeypatch, place):
    there = receiver.server_address
    monkeypatch.setattr(webhook, "open_socket", lambda *asked, **options: socket.create_connection(there))
    assert WebhookRunner().send(Target(f"http://{place}/hook", read_keys(SECRET)), MESSAGE).delivered
    assert receiver.received[0].headers["host"] == place

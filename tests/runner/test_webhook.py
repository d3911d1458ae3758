"""Webhooks as they go over the wire: signed, on time, and whatever the receiver does becomes an outcome."""

import json
import socket
import threading
import time

import pytest

from portal.runner import webhook
from portal.runner.base import Message, Target
from portal.runner.signature import read_keys
from portal.runner.webhook import WebhookRunner, open_socket, read_retry_after
from tests.receiver import SECRET, Receiver

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


@pytest.mark.parametrize("behaviour", ["slow", "drip"])
def test_no_attempt_takes_longer_than_its_time(receiver, behaviour):
    receiver.behave = lambda received: behaviour
    started = time.monotonic()
    outcome = send(receiver, Impatient())
    assert (outcome.status_code, outcome.error) == (None, "timeout")
    assert 0.4 < time.monotonic() - started < 5
    assert outcome.milliseconds >= 400


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

"""Which URLs and addresses a guarded target may have: nothing inside is ever called, however it is written."""

import ipaddress
import socket
import threading

import pytest

from portal.runner.addresses import find_addresses, is_endpoint_url, may_be_called
from portal.runner.base import Message, Target
from portal.runner.webhook import WebhookRunner
from tests.receiver import Receiver
from tests.runner.hostile_urls import HOSTILE

MESSAGE = Message("01890000-0000-7000-8000-000000000001", b"{}")
REFUSED = "the address is private, local or reserved"


@pytest.fixture
def connects(monkeypatch):
    """The addresses that somebody tried to connect to."""
    tried, connect = [], socket.socket.connect

    def note(sock, address):
        tried.append(address[0])
        return connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", note)
    return tried


@pytest.fixture
def names(monkeypatch):
    """`names["a.example"] = [[first answer], [second answer]]`: what a look-up says, one after the other."""
    answers, look_up = {}, socket.getaddrinfo

    def answer(host, port, *args, **options):
        if host not in answers:
            return look_up(host, port, *args, **options)
        return [entry for text in answers[host].pop(0) for entry in look_up(text, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return answers


def send(url, *allowed):
    """Send a message to a guarded target."""
    networks = tuple(ipaddress.ip_network(text) for text in allowed)
    return WebhookRunner().send(Target(url, (b"k",), guarded=True, allowed=networks), MESSAGE)


def test_there_are_more_than_sixty_hostile_urls():
    assert len(set(HOSTILE)) == len(HOSTILE) > 60


@pytest.mark.parametrize("form", HOSTILE)
def test_a_hostile_url_reaches_nothing_inside(connects, form):
    with Receiver() as inside:
        url = form.format(port=inside.server_address[1])
        if is_endpoint_url(url):
            outcome = send(url)
            assert (outcome.status_code, outcome.error in (REFUSED, "the name has no address")) == (None, True)
        assert connects == []
        assert not inside.received


def test_a_name_that_changes_its_address_is_called_where_it_was_looked_up(connects, names):
    with Receiver(host="127.0.0.2") as outside, Receiver() as inside:
        names["rebind.example"] = [["127.0.0.2"], ["127.0.0.1"]]
        url = f"http://rebind.example:{outside.server_address[1]}/"
        assert send(url, "127.0.0.2/32").delivered
        assert set(connects) == {"127.0.0.2"}
        # The second look-up is the next message's, and is asked about anew.
        assert send(url, "127.0.0.2/32").error == REFUSED
        assert not inside.received


def test_of_several_addresses_those_that_are_refused_are_left_out(connects, names):
    with Receiver(host="127.0.0.2") as outside:
        names["mixed.example"] = [["127.0.0.1", "::1", "10.0.0.1", "127.0.0.2"]]
        assert send(f"http://mixed.example:{outside.server_address[1]}/", "127.0.0.2/32").delivered
        assert set(connects) == {"127.0.0.2"}


def test_a_redirect_inside_is_not_followed(connects):
    with Receiver(lambda received: "redirect", host="127.0.0.2") as outside, Receiver() as inside:
        outside.elsewhere = inside.url
        assert send(outside.url, "127.0.0.2/32").status_code == 302
        assert set(connects) == {"127.0.0.2"}
        assert not inside.received


def test_a_trusted_target_is_called_wherever_it_is():
    with Receiver() as inside:
        assert WebhookRunner().send(Target(inside.url, (b"k",)), MESSAGE).delivered


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_may_be_called(address):
    assert may_be_called(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_a_network_that_is_allowed_may_be_called_and_none_beside_it(address):
    assert may_be_called(address, [ipaddress.ip_network("fd00::/8"), ipaddress.ip_network("10.1.0.0/16")])
    assert not may_be_called(address, [ipaddress.ip_network("10.2.0.0/16")])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "2606:4700:4700::1111", "fe80::1%lo"])
def test_an_address_is_not_looked_up(monkeypatch, host):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: pytest.fail("looked up"))
    assert find_addresses(host, 1) == [host]


@pytest.mark.parametrize("host", ["127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1"])
def test_an_address_in_another_form_is_what_the_system_makes_of_it(host):
    assert find_addresses(host, 5) == ["127.0.0.1"]


def test_a_look_up_that_takes_too_long_is_left_behind(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [over.wait(30)][:0])
    assert find_addresses("slow.example", 0.01) == []
    over.set()


@pytest.mark.parametrize(
    "url",
    ["https://a.example/hook?x=1", "http://a.example:8080", "http://[2606:4700:4700::1111]/", "HTTPS://A.example"],
)
def test_a_plain_url_is_an_endpoints(url):
    assert is_endpoint_url(url)


@pytest.mark.parametrize(
    "url", ["", "a.example", "http://", "http://a:0/", "http://a:99999/", "http://a/" + "x" * 2048]
)
def test_what_is_no_plain_url_is_not(url):
    assert not is_endpoint_url(url)

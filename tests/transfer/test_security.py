"""Who passes at the byte door: a host of the portal, and by https where that is asked for, whatever passed before."""

from functools import cache

import pytest
from django.core.exceptions import DisallowedHost
from django.middleware.security import SecurityMiddleware

from portal.transfer import security
from portal.transfer.exchange import Exchange
from tests.transfer.wire import Wire


@pytest.fixture(autouse=True)
def fresh(monkeypatch, settings):
    """Nobody has passed yet, and http is sent to https but on one path."""
    settings.SECURE_SSL_REDIRECT, settings.SECURE_REDIRECT_EXEMPT = True, [r"^exempt$"]
    settings.ALLOWED_HOSTS = ["a.example", "b.example"]
    monkeypatch.setattr(security, "_passed", set())
    monkeypatch.setattr(security, "_middleware", cache(lambda: [SecurityMiddleware(security._no_view)]))


def redirect(host="a.example", *, scheme="http", path="/files"):
    """Return where a request is sent, None when it passes."""
    wire = Wire("POST", path, scheme=scheme)
    wire.scope["headers"][0] = b"host", host.encode()
    return security.find_redirect(Exchange(wire.scope, None, None))


def test_https_passes_and_http_is_sent_there_each_time():
    for _ in range(2):
        assert redirect(scheme="https") is None
        assert redirect() == "https://a.example/files"


def test_a_path_that_is_not_sent_to_https_says_nothing_of_others():
    for _ in range(2):
        assert redirect(path="/exempt") is None
        assert redirect() == "https://a.example/files"


def test_http_passes_where_nothing_is_sent_to_https(settings):
    settings.SECURE_SSL_REDIRECT = False
    security._middleware.cache_clear()
    assert [redirect() for _ in range(2)] == [None, None]
    # It was asked for once.
    assert len(security._passed) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_passed_says_nothing_of_others(scheme):
    assert redirect("a.example", scheme="https") is redirect("b.example", scheme="https") is None
    for host in ("evil.example", "a.example.evil.example", ""):
        for _ in range(2):
            with pytest.raises(DisallowedHost):
                redirect(host, scheme=scheme)


def test_without_a_host_it_is_the_called_address_that_must_be_ours():
    def redirect_at(address):
        wire = Wire("POST", "/files", scheme="https")
        del wire.scope["headers"][0]
        return security.find_redirect(Exchange(wire.scope | {"server": (address, 443)}, None, None))

    assert redirect_at("a.example") is None
    for _ in range(2):
        with pytest.raises(DisallowedHost):
            redirect_at("192.0.2.1")


def test_whoever_makes_up_hosts_fills_no_memory(settings, monkeypatch):
    monkeypatch.setattr(security, "FRONTS", 3)
    settings.ALLOWED_HOSTS = [".example"]
    for number in range(10):
        assert redirect(f"{number}.example", scheme="https") is None
    assert len(security._passed) == 3

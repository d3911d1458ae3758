"""Forwarded headers: believed from a trusted proxy alone, dropped for everybody."""

import ipaddress

import pytest

from boot.proxies import FORWARDED, FORWARDED_HEADERS, apply_forwarded
from tests.transfer.wire import Wire

TRUSTED = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
FROM = "X-Forwarded-For: 203.0.113.7"
HTTPS = "X-Forwarded-Proto: https"


def seen(*lines, peer="10.0.0.1", trusted=TRUSTED):
    """Return `(client, scheme)` as the portal sees a request with these headers from `peer`."""
    scope = apply_forwarded(Wire("GET", "/", *lines, client=peer).scope, trusted)
    assert not [name for name, _ in scope["headers"] if name in FORWARDED_HEADERS or name.startswith(FORWARDED)]
    return scope["client"][0], scope["scheme"]


def test_by_default_nobody_is_believed():
    assert seen(FROM, HTTPS, trusted=[]) == ("10.0.0.1", "http")


@pytest.mark.parametrize("peer", ["203.0.113.1", "11.0.0.1", "::1", "fe80::1", "", "unknown"])
def test_a_stranger_is_not_believed(peer):
    assert seen(FROM, HTTPS, peer=peer) == (peer, "http")


@pytest.mark.parametrize("peer", ["10.0.0.1", "10.255.255.255", "fd00::1", "::ffff:10.0.0.1"])
def test_a_trusted_proxy_is_believed(peer):
    assert seen(FROM, HTTPS, peer=peer) == ("203.0.113.7", "https")


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (["X-Forwarded-For: 1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        (["X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.7"], "203.0.113.7"),
        (["X-Forwarded-For: 10.0.0.8, 10.0.0.9"], "10.0.0.8"),
        (["X-Forwarded-For: 203.0.113.7:4711"], "203.0.113.7"),
        (["X-Forwarded-For: 2001:db8::7"], "2001:db8::7"),
        (["X-Forwarded-For: [2001:db8::7]:4711"], "2001:db8::7"),
        (["X-Forwarded-For: ::ffff:203.0.113.7"], "203.0.113.7"),
        (["X-Forwarded-For: 203.0.113.7, ,"], "203.0.113.7"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(lines, client):
    assert seen(*lines)[0] == client


@pytest.mark.parametrize(
    "value", ["", ",", "unknown", "_hidden", "evil.example", "1.2.3", "' OR 1=1", "999.1.1.1", "é"]
)
def test_what_is_no_address_leaves_the_proxy_as_the_client(value):
    assert seen(f"X-Forwarded-For: {value}")[0] == "10.0.0.1"


def test_what_stands_before_a_word_that_is_no_address_is_not_believed():
    assert seen("X-Forwarded-For: 203.0.113.7, unknown")[0] == "10.0.0.1"
    assert seen("X-Forwarded-For: 203.0.113.7, unknown, 10.0.0.9")[0] == "10.0.0.9"


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        ([], "http"),
        (["X-Forwarded-Proto: HTTPS"], "https"),
        (["X-Forwarded-Proto: http, https"], "https"),
        (["X-Forwarded-Proto: https, http"], "http"),
        (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], "http"),
        (["X-Forwarded-Proto: ftp"], "http"),
        (["X-Forwarded-Proto: https://evil.example"], "http"),
        (["X-Forwarded-Proto:"], "http"),
        (["X-Forwarded-Ssl: on"], "http"),
        (["Forwarded: proto=https"], "http"),
    ],
)
def test_the_scheme_is_what_the_nearest_proxy_says(lines, scheme):
    assert seen(*lines)[1] == scheme


def test_a_request_without_forwarded_headers_is_left_as_it_is():
    scope = Wire("GET", "/", "X-Other: 1").scope
    assert apply_forwarded(scope, TRUSTED) is scope


def test_the_scope_that_came_is_not_changed():
    scope = Wire("GET", "/", FROM, HTTPS, client="10.0.0.1").scope
    before = scope | {"headers": list(scope["headers"])}
    assert apply_forwarded(scope, TRUSTED) is not scope
    assert scope == before


def test_a_peer_without_an_address_is_a_stranger():
    scope = Wire("GET", "/", FROM, HTTPS).scope | {"client": None}
    assert apply_forwarded(scope, TRUSTED)["client"] is None

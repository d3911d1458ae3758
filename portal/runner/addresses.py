"""Which URLs and which addresses messages may be sent to."""

import contextlib
import ipaddress
import socket
import threading
from urllib.parse import urlsplit

MAX_URL_LENGTH = 2048
#: Refused though they count as public: a cloud's own services, and what leads to an IPv4 address inside of it.
REFUSED = [
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # the platform behind every machine of Azure
        "192.0.0.0/24",  # the IETF's own; in some clouds a metadata service
        "192.88.99.0/24",  # relays of 6to4
        "2002::/16",  # 6to4
        "2001::/23",  # Teredo and others of the IETF's own
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "::/96",  # IPv4-compatible, and the unspecified address
        "fec0::/10",  # site-local
        "5f00::/16",  # segment routing
        "3fff::/20",  # documentation
    )
]


def is_endpoint_url(url):
    r"""Whether `url` is a plain http(s) URL: printable ASCII, a host, a sound port, no user, no fragment, no `\`."""
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        sound = parts.port != 0
    except ValueError:
        return False
    return (
        sound
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "#" not in url
    )


def may_be_called(address, allowed=()):
    """Whether an IP address (text) is public, or lies in one of the networks that are `allowed`."""
    found = ipaddress.ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    if any(found in network for network in allowed):
        return True
    return found.is_global and not found.is_multicast and not any(found in network for network in REFUSED)


def find_addresses(host, seconds):
    """Return the IP addresses of `host` as texts; none when there are none, or the look-up takes longer."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]  # there is nothing to look up
    found: list[str] = []

    def look_up():
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))

    # A look-up cannot be cut off: it is left behind.
    thread = threading.Thread(target=look_up, name="look-up", daemon=True)
    thread.start()
    thread.join(seconds)
    return list(found)

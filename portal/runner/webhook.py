"""Webhooks: each message is one POST, signed, on a connection of its own, over within its time.

Redirects are not followed, proxies of the environment are not used, and nothing of the answer but its status and
`Retry-After` is read. The name is looked up once and the address that was found is the one that is called.
"""

import contextlib
import http.client
import io
import re
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from functools import cache, partial
from urllib.parse import urlsplit

from portal.runner.addresses import find_addresses, may_be_called
from portal.runner.base import Outcome, Runner
from portal.runner.signature import sign
from portal.tracing import span, traced

PORTS = {"http": 80, "https": 443}
#: Bytes of an answer's head, at most.
MAX_HEAD = 65536
END_OF_HEAD = re.compile(rb"\n\r?\n")
INTERIM = re.compile(rb"HTTP/1\.\d 100\s")


class WebhookRunner(Runner):
    """POSTs JSON over HTTP/1.1, with TLS checked against the name in the URL."""

    def send(self, target, message):
        """POST the message; what goes wrong on the way becomes the outcome's error."""
        started = time.monotonic()
        status, error, wait = None, "", None
        try:
            with span("deliver", "CLIENT", http__request__method="POST", ingest__event_id=message.event_id) as tell:
                status, wait = self._post(target, message, started + self.seconds)
                tell(http__response__status_code=status)
        except (OSError, http.client.HTTPException, ValueError) as failure:
            over = time.monotonic() - started >= self.seconds
            error = "timeout" if over else describe_failure(failure)
        return Outcome(status, error, wait, round(1000 * (time.monotonic() - started)))

    def _post(self, target, message, deadline):
        url = urlsplit(target.url)
        may_call = partial(may_be_called, allowed=target.allowed) if target.guarded else None
        sock = open_socket(url.hostname, url.port or PORTS[url.scheme], deadline, may_call=may_call)
        try:
            if url.scheme == "https":
                _give_time(sock, deadline)
                sock = tls_context().wrap_socket(sock, server_hostname=url.hostname)
            _send(sock, make_request(url, traced(make_headers(target, message)), message.body), deadline)
            with contextlib.closing(http.client.HTTPResponse(_Head(_read_head(sock, deadline)))) as answer:
                answer.begin()
                return answer.status, read_retry_after(answer.headers.get("Retry-After"))
        finally:
            sock.close()


def make_request(url, headers, body):
    """Return the bytes of a POST to a URL that was split, so that they go out in one piece."""
    path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
    lines = [f"POST {path} HTTP/1.1", f"Host: {url.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _give_time(sock, deadline):
    """Let the next step on `sock` take what is left until `deadline`; raises TimeoutError when nothing is.

    Asked before each piece, so that a receiver that sends or takes a byte now and then is cut off like a silent one.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)


def _send(sock, data, deadline):
    # sendall() over TLS would give the whole time to each piece.
    rest = memoryview(data)
    while rest:
        _give_time(sock, deadline)
        rest = rest[sock.send(rest) :]


def _read_head(sock, deadline):
    """Return the answer up to its first empty line, or to its end; interim answers (100 Continue) are left out."""
    data = b""
    while len(data) <= MAX_HEAD:
        _give_time(sock, deadline)
        piece = sock.recv(MAX_HEAD)
        data += piece
        while (end := END_OF_HEAD.search(data, max(0, len(data) - len(piece) - 3))) and INTERIM.match(data):
            data = data[end.end() :]
        if end or not piece:
            return data
    raise http.client.LineTooLong("head")


class _Head:
    """What http.client reads in place of a socket."""

    def __init__(self, data):
        self.data = data

    def makefile(self, mode):
        return io.BytesIO(self.data)


def make_headers(target, message):
    """Return the headers of a message that is sent now; a repeat has a new time and a new signature."""
    now = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": "ingest-portal",
        "webhook-id": message.event_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(target.keys, event_id=message.event_id, timestamp=now, body=message.body),
    }


class AddressRefused(OSError):
    """The name has addresses, and none of them may be called."""


def open_socket(host, port, deadline, *, may_call=None):
    """Return a socket that is connected to one of the addresses of `host`, tried in order; raises OSError.

    The name is looked up once, and what `may_call(address)` was asked about is what is called.
    """
    addresses = find_addresses(host, deadline - time.monotonic())
    failure: OSError = AddressRefused("the address is private, local or reserved") if addresses else socket.gaierror()
    for address in addresses:
        if may_call and not may_call(address):
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            sock.settimeout(left)
            sock.connect((address, port))
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


@cache
def tls_context():
    """Return what TLS trusts: the authorities of the system."""
    return ssl.create_default_context()


def describe_failure(failure):
    """Return in few words what went wrong, without anything that the receiver or the URL said."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"TLS: {failure.verify_message}"
    if isinstance(failure, TimeoutError):
        return "timeout"
    if isinstance(failure, AddressRefused):
        return str(failure)
    if isinstance(failure, socket.gaierror):
        return "the name has no address"
    if isinstance(failure, http.client.RemoteDisconnected):
        return "closed without an answer"
    if isinstance(failure, http.client.HTTPException):
        return "the answer is not HTTP"
    return getattr(failure, "strerror", None) or type(failure).__name__


def read_retry_after(text):
    """Return the seconds that `Retry-After` asks for (a number or a date), None when it says nothing."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return min(int(text.strip()[:10]), 10**9)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0, round(parsedate_to_datetime(text).timestamp() - time.time()))
    return None

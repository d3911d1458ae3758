"""A proxy between the portal and its S3 store that does to requests what networks and stores do to them."""

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: What can happen to one request; but for "lost", "cut_answer", "delay" and "hang" the store hears nothing, or not all.
FAULTS = ("delay", "hang", "reset", "500", "503", "cut_request", "cut_answer", "lost", "error_in_200")
ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>made by a test</Message></Error>"
DELAY_SECONDS = 0.2
#: Longer than the client waits for an answer: tests make that a second.
HANG_SECONDS = 1.3


class Handler(BaseHTTPRequestHandler):
    """One request: passed on, or not, or half of it, or done and the answer lost."""

    protocol_version = "HTTP/1.1"

    def handle_one(self):
        """Do what the proxy decides for this request."""
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = proxy.decide(self.command, self.path, len(body))
        if fault in ("delay", "hang"):
            time.sleep(DELAY_SECONDS if fault == "delay" else HANG_SECONDS)
        if fault in ("500", "503"):
            code = "InternalError" if fault == "500" else "SlowDown"
            return self.answer(int(fault), {"Content-Type": "application/xml"}, ERROR.format(code).encode())
        if fault == "error_in_200":
            return self.answer(200, {"Content-Type": "application/xml"}, ERROR.format("InternalError").encode())
        if fault == "reset":
            return self.reset()
        if fault == "cut_request":
            self.pass_on_half(body)
            return self.reset()
        status, headers, answer = self.pass_on(body)
        if fault == "lost":
            return self.reset()
        return self.answer(status, headers, answer, cut=fault == "cut_answer")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one

    def pass_on(self, body):
        """Ask the store; return `(status, headers, body)`."""
        connection = http.client.HTTPConnection(self.server.proxy.store, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def pass_on_half(self, body):
        """Send the store the head of the request and half of its body, and hang up."""
        head = f"{self.command} {self.path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in self.headers.items() if name.lower() != "expect"
        )
        host, port = self.server.proxy.store.split(":")
        with socket.create_connection((host, int(port))) as store:
            store.sendall(head.encode() + b"\r\n" + body[: len(body) // 2])

    def answer(self, status, headers, body, *, cut=False):
        """Send an answer, or half of it."""
        self.send_response_only(status)
        dropped = ("connection", "transfer-encoding", "content-length")
        length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
        for name, value in headers.items():
            if name.lower() not in dropped:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.reset()

    def reset(self):
        """Hang up at once: the other side sees a reset."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        """Nobody reads it."""


class FaultProxy:
    """A context manager; `endpoint` is its address, `plan(n, method, path)` gives the fault of its n-th request.

    `requests` holds each one's method and path, `hit` how often each fault was done to one.
    """

    def __init__(self, endpoint):
        self.store = urlsplit(endpoint).netloc
        self.plan = lambda number, method, path: None
        self.requests, self.hit, self.sent_bytes, self._mutex = [], Counter(), 0, threading.Lock()

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads, self._server.proxy = True, self
        # A client that hangs up in the middle is what this is for.
        self._server.handle_error = lambda *_: None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def decide(self, method, path, size):
        """Count a request; return its fault or None."""
        with self._mutex:
            self.requests.append((method, path))
            self.sent_bytes += size
            fault = self.plan(len(self.requests) - 1, method, path)
            self.hit += Counter([fault] if fault else [])
            return fault

    def misbehave(self, seed, share):
        """From now on, do one of FAULTS to one of the next ten requests and to a `share` of all, as `seed` has it."""
        dice = random.Random(seed)
        sure = len(self.requests) + dice.randrange(10)
        self.plan = lambda number, *_: dice.choice(FAULTS) if number == sure or dice.random() < share else None

    def behave(self):
        """From now on, pass everything on."""
        self.plan = lambda number, method, path: None

"""A receiver of webhooks on this machine: keeps what comes in, checks each signature, and behaves as it is told to."""

import socketserver
import struct
import threading
import time
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET

from standardwebhooks import Webhook

SECRET = "whsec_dGhpcyBpcyBhIHNlY3JldCBmb3IgdGVzdHMgb25seSE="
ANSWERS = {
    "ok": b"HTTP/1.1 204 No Content\r\n\r\n",
    "error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "busy": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
    "gone": b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x00\x01 this is no HTTP \xff\r\n\r\n",
    "silence": b"",
}


@dataclass(frozen=True)
class Received:
    """One request: its line, its headers by their lower-case names, its body."""

    line: str
    headers: dict
    body: bytes

    @property
    def event_id(self):
        """What `webhook-id` says."""
        return self.headers.get("webhook-id")


class Receiver(socketserver.ThreadingTCPServer):
    """`behave(received)` names how each request is answered; a context manager, on a port that is free."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, behave=lambda received: "ok", *, secret=SECRET, host="127.0.0.1"):
        self.behave, self.secret = behave, secret
        self.received, self.badly_signed, self.lock = [], [], threading.Lock()
        self.elsewhere = ""  # where a redirect leads
        self.let_go = threading.Event()  # whoever is slow is so until then
        super().__init__((host, 0), _Conversation)

    @property
    def url(self):
        """Where it listens."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}/hook?from=portal"

    @property
    def event_ids(self):
        """The ids of all that has come in, repeats too."""
        with self.lock:
            return [received.event_id for received in self.received]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.let_go.set()
        self.shutdown()
        self.server_close()

    def take(self, received):
        """Keep a request and check its signature by somebody else's code."""
        good = True
        try:
            Webhook(self.secret).verify(received.body, received.headers)
        except Exception:  # noqa: BLE001, whatever it finds wrong
            good = False
        with self.lock:
            self.received.append(received)
            if not good:
                self.badly_signed.append(received)


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline().decode().strip()
        headers = {}
        while text := self.rfile.readline().decode().strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        received = Received(line, headers, self.rfile.read(length))
        if not line.startswith("POST ") or len(received.body) < length:
            return  # whoever sent it has died over it
        self.server.take(received)
        self.answer(self.server.behave(received))

    def answer(self, name):
        if name == "slow":
            self.server.let_go.wait(30)
        elif name == "drip":
            self.drip(b"HTTP/1.1 200 OK\r\nX: ", b"x")
        elif name == "interim drip":
            self.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
        elif name == "pieces":
            for byte in ANSWERS["busy"]:
                self.wfile.write(bytes([byte]))
        elif name == "reset":
            self.request.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.request.close()
        elif name == "redirect":
            self.wfile.write(f"HTTP/1.1 302 Found\r\nLocation: {self.server.elsewhere}\r\n\r\n".encode())
        else:
            self.wfile.write(ANSWERS[name])

    def drip(self, first, again):
        """An answer that never ends, a little at a time."""
        self.wfile.write(first)
        while not self.server.let_go.is_set():
            self.wfile.write(again)
            self.wfile.flush()
            time.sleep(0.02)

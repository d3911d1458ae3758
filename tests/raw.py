"""HTTP over a bare socket: what no well-behaved client sends, and exactly what comes back."""

import socket
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

SECONDS = 20


@dataclass
class Answer:
    """One response as it came: status, headers in order (names in lower case), body."""

    status: int
    headers: list
    body: bytes

    def values(self, name):
        """Return the values of the header `name`, in order."""
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name):
        """Return the one value of the header `name`, None without it; fails when there are several."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None


class RawClient:
    """One TCP connection to the portal at `url`; a context manager. What is sent is sent as it stands.

    `source` is the address to come from: all of 127.0.0.0/8 is ours.
    """

    def __init__(self, url, *, token=None, receive_buffer=None, source=None, seconds=SECONDS):
        parts = urlsplit(url)
        self.host, self.token = parts.netloc, token
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(seconds)
        self.socket.connect((parts.hostname, parts.port))
        self._read = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Send these bytes."""
        self.socket.sendall(data)

    def head(self, method, target, *lines, version="HTTP/1.1"):
        """Return a request's head with Host and, if there is a token, Authorization; `lines` are whole headers."""
        fields = [f"Host: {self.host}", *([f"Authorization: Bearer {self.token}"] if self.token else []), *lines]
        return "".join(f"{line}\r\n" for line in [f"{method} {target} {version}", *fields, ""]).encode("utf-8")

    def ask(self, method, target, *lines, body=b"", version="HTTP/1.1"):
        """Send a request whose framing is the caller's affair, and return its answer."""
        self.send(self.head(method, target, *lines, version=version) + body)
        return self.answer(method)

    def answer(self, method="GET"):
        """Read the next response, whatever its framing; EOFError when the connection ends before it is whole."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head.split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = Answer(int(status_line.split(" ")[1]), headers, b"")
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return answer
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            answer.body = self._chunks()
        elif answer.header("content-length") is not None:
            answer.body = self._exactly(int(answer.header("content-length")))
        else:
            answer.body = self.rest()
        return answer

    def rest(self):
        """Return everything that still comes until the server closes."""
        while self._more():
            pass
        data, self._read = self._read, b""
        return data

    def closed_by_server(self):
        """Wait until the server closes the connection; True when nothing came before it did."""
        return self.rest() == b""

    def finish_sending(self):
        """Half-close: the server reads the end, we still read its answer."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """End the connection with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def is_silent(self, seconds):
        """Return True when the server sends nothing for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return not self._read and not self._more()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._read += data
        return bool(data)

    def _until(self, mark):
        while mark not in self._read:
            if not self._more():
                raise EOFError(f"the connection ended after {self._read!r}")
        found, _, self._read = self._read.partition(mark)
        return found

    def _exactly(self, size):
        while len(self._read) < size:
            if not self._more():
                raise EOFError(f"{len(self._read)} of {size} bytes came")
        data, self._read = self._read[:size], self._read[size:]
        return data

    def _chunks(self):
        blocks = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            blocks.append(self._exactly(size))
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n", "trailers are not expected"
        return b"".join(blocks)

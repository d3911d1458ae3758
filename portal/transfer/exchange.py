"""One request and its answer over ASGI, with what both doors put on every answer."""

from functools import cached_property

from portal.transfer.request import build_request
from portal.transfer.security import common_headers


class Exchange:
    """What came (scope, headers, Django's view of it) and what goes back; refuses a header with a line break."""

    def __init__(self, scope, receive, send):
        self.scope = scope
        self.method = scope["method"]
        self.send = send
        #: True once something of the body was asked for: from then on `Expect: 100-continue` has been granted.
        self.reading = False
        #: True once the status has gone out.
        self.started = False
        #: Headers that belong to who asks (a session's cookie, `Vary`).
        self.identity_headers = []
        #: The Body, for a request whose body is read.
        self.body = None
        self._receive = receive

    @cached_property
    def request(self):
        """Django's view of the request."""
        return build_request(self.scope)

    @cached_property
    def common_headers(self):
        """The headers of every answer: their values by their names in lower case, both bytes."""
        return common_headers(self)

    @cached_property
    def _fields(self):
        """The values of each header, in the order in which they came: a small file asks for a dozen."""
        fields: dict[bytes, list[bytes]] = {}
        for name, value in self.scope["headers"]:
            fields.setdefault(name, []).append(value)
        return fields

    def values(self, name):
        """Return the values of the header `name` (lower case, bytes), in the order in which they came."""
        return self._fields.get(name, [])

    def text(self, name):
        """Return the header `name` as text, its repetitions joined by a comma; None when it is not there."""
        values = self.values(name)
        return b",".join(values).decode("latin-1") if values else None

    async def receive(self):
        """Return the next ASGI message; the first call lets a client that waits for it send its body."""
        self.reading = True
        return await self._receive()

    async def start(self, status, headers):
        """Send the status and the headers, those of every answer included; `headers` win over the common ones."""
        fields = self.common_headers | dict(_to_bytes(headers.items()))
        await self.start_raw(status, [*fields.items(), *_to_bytes(self.identity_headers)])

    async def start_raw(self, status, headers):
        """Send the status and exactly these headers, pairs of bytes."""
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def answer(self, status, headers, body=b""):
        """Send a whole answer; a HEAD gets its headers alone."""
        await self.start(status, headers | {"Content-Length": str(len(body))})
        await self.send_body(b"" if self.method == "HEAD" else body, more=False)

    async def send_body(self, block, *, more):
        """Send one block of the body; waits while the client is slow to take it."""
        await self.send({"type": "http.response.body", "body": block, "more_body": more})


def _to_bytes(headers):
    """Return the pairs as they go out; refuses a value with a line break."""
    for _, value in headers:
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError("a header must not hold a line break")
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers]

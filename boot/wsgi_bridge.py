"""The hop to Django: a small body is collected here, then Django's WSGI application runs in a database thread."""

import time
from contextlib import contextmanager

from portal.exceptions import ServerBusy, TooLarge
from portal.transfer import pools
from portal.transfer.auth import require_known
from portal.transfer.body import Body, read_content_length
from portal.transfer.errors import refuse
from portal.transfer.exchange import Exchange
from portal.transfer.pools import Jobs
from portal.transfer.request import build_environ
from portal.transfer.stream import send_blocks

#: The largest body that Django gets; bytes of files come in through portal/transfer/.
MAX_BODY_BYTES = 2 * 2**20
#: What all bodies of a process may hold together.
MAX_HELD_BYTES = 64 * 2**20
#: More than this is taken only of those who are known: a few strangers could fill the room of all otherwise.
STRANGER_BYTES = 16 * 2**10
#: A streamed answer is taken from Django in hops of about this size …
BLOCK_BYTES = 64 * 2**10
#: … or after so long, so that events reach the client when they happen.
BLOCK_SECONDS = 0.05


class WsgiBridge:
    """An ASGI application in front of a WSGI one; a body that did not come whole never reaches it.

    `admit(exchange)` raises NotAuthenticated for a stranger; it may block.
    """

    def __init__(self, application, *, admit=require_known):
        self.application, self.admit = application, admit
        self.held = 0

    async def __call__(self, scope, receive, send):
        """Answer one request, whatever goes wrong; nothing is raised but a cancellation."""
        exchange = Exchange(scope, receive, send)
        try:
            with self._holding() as hold:
                body = await self._collect(exchange, hold)
                await self._answer(exchange, build_environ(scope, body))
        except Exception as error:  # noqa: BLE001 - this is the outermost door: everything becomes an answer
            await refuse(exchange, error)

    @contextmanager
    def _holding(self):
        """Give a function that counts bytes against the limit of the process until the block is left."""
        mine = 0

        def hold(size):
            nonlocal mine
            mine += size
            self.held += size
            if self.held > MAX_HELD_BYTES:
                raise ServerBusy

        try:
            yield hold
        finally:
            self.held -= mine

    async def _collect(self, exchange, hold):
        """Return the whole body, None when there is none.

        Raises TooLarge, ServerBusy, BodyIncomplete, TooSlow, and for a long body what `admit` raises.
        """
        length = read_content_length(exchange)
        if length is None and not exchange.values(b"transfer-encoding"):
            return None
        if length is not None and length > MAX_BODY_BYTES:
            raise TooLarge
        body = exchange.body = Body(exchange.receive, length)
        pieces, known = [], False
        with body.paced():
            while not body.complete:
                piece = await body.read()
                if body.received > MAX_BODY_BYTES:
                    raise TooLarge
                hold(len(piece))
                if body.received > STRANGER_BYTES and not known:
                    await Jobs().run_database(self.admit, exchange)
                    known = True
                pieces.append(piece)
        return b"".join(pieces)

    async def _answer(self, exchange, environ):
        jobs, call = Jobs(), WsgiCall(self.application, environ)
        pool = pools.alive if environ["PATH_INFO"] == "/healthz" else pools.database
        try:
            first = await jobs.run_request(call.begin, pool)
            headers = call.headers
            if call.ended and call.status not in (204, 304) and not call.has_length:
                headers = [*headers, (b"content-length", b"%d" % len(first))]
            await exchange.start_raw(call.status, headers)
            if call.ended or exchange.method == "HEAD":
                return await exchange.send_body(b"" if exchange.method == "HEAD" else first, more=False)
            blocks = iter([first])

            async def next_block():
                return next(blocks, b"") or (b"" if call.ended else await jobs.run_request(call.take))

            await send_blocks(exchange, next_block)
        finally:
            # What was refused or cancelled before it began has nothing to close, and stands in no line for that.
            if call.begun and not call.closed:
                await jobs.close(call.close, pools.database)


class WsgiCall:
    """One call of a WSGI application: begun, taken block by block, always closed. Every method blocks."""

    def __init__(self, application, environ):
        self.application, self.environ = application, environ
        self.status, self.headers = None, []
        #: `begun`: Django was asked; `ended`: the answer has been taken to its end; `closed`: Django knows that the
        #: request is over.
        self.begun = self.ended = self.closed = False
        self._response = self._items = None

    @property
    def has_length(self):
        """True when the application has set Content-Length itself."""
        return any(name == b"content-length" for name, _ in self.headers)

    def begin(self):
        """Call the application; return the first block of its answer, which is all of it when `ended`."""
        self.begun = True
        self._response = self.application(self.environ, self._start_response)
        self._items = iter(self._response)
        return self.take()

    def take(self):
        """Return the next block, b"" only at the end; a finished answer is closed at once, in the same thread."""
        block, until = [], time.monotonic() + BLOCK_SECONDS
        size = 0
        for item in self._items:
            block.append(item)
            size += len(item)
            if size >= BLOCK_BYTES or (size and time.monotonic() > until):
                break
        else:
            self.ended = True
            self.close()
        return b"".join(block)

    def close(self):
        """Close the answer, which tells Django that the request is over; safe to call twice."""
        response, self._response, self._items = self._response, None, iter(())
        self.closed = True
        if hasattr(response, "close"):
            response.close()

    def _start_response(self, status, headers, exc_info=None):
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(n.lower().encode("latin-1"), v.strip().encode("latin-1")) for n, v in headers]

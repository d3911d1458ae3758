"""A request's body as it comes in: counted, timed, and refused when it breaks off, overruns or drips."""

import asyncio
from collections import deque

from portal.exceptions import BodyIncomplete, Invalid, LengthMissing, TooSlow

#: A client that sends nothing for so long is taken for gone.
SILENCE_SECONDS = 30
#: A client that stays under this rate over this window holds a place that an honest one could use.
RATE_BYTES, RATE_SECONDS = 1024, 60
#: How often the clock is looked at; one timer a request, not one a piece.
TICK_SECONDS = 1


def read_content_length(exchange):
    """Return the body's declared length, or None when there is none or the body is chunked; refuses a bad one."""
    values = set(exchange.values(b"content-length"))
    if exchange.values(b"transfer-encoding") or not values:
        return None
    text = values.pop()
    if values or not text.isdigit() or len(text) > 19:
        raise Invalid("The Content-Length is not one whole number.")
    return int(text)


def read_framed_length(exchange):
    """Return the body's declared length, or None when it is chunked; raises LengthMissing when it has neither.

    HTTP calls such a body empty. Who sent it, ending it with the connection as HTTP/1.0 did, would be told that it is
    stored.
    """
    length = read_content_length(exchange)
    if length is None and not exchange.values(b"transfer-encoding"):
        raise LengthMissing("Send the body with a Content-Length, or chunked.")
    return length


class Body:
    """The body of one request; `length` is None when it is chunked. Only the client's time counts, not ours."""

    def __init__(self, receive, length):
        self.length = length
        self.received = 0
        self.ended = False
        #: The connection is gone, or not worth reading on: nothing is drained after the answer.
        self.broken = False
        self._receive = receive
        self._verdict, self._breaks = None, True
        self._waiting_since = None
        #: Seconds of the reading that we spent on our own work.
        self._ours = 0.0
        #: (seconds of the client's own, bytes received) at each look of the last window.
        self._samples = deque()

    @property
    def complete(self):
        """True when the last byte has come."""
        return self.ended or self.received == self.length

    def silent_for(self):
        """Return the seconds for which we have been waiting for the client; 0 while we work ourselves."""
        return 0 if self._waiting_since is None else self._now() - self._waiting_since

    def cut(self, error, *, broken=True):
        """End the reading with `error`; does nothing unless we are waiting for the client.

        Unless it is `broken` by that, what is left of it is drained as after any refusal.
        """
        if self._waiting_since is not None and self._verdict is None:
            self._verdict, self._breaks = error, broken
            self._reader.cancel()

    def paced(self, late_seconds=TICK_SECONDS, late=None):
        """Return a context in which this task reads the body, and the client is held to its pace.

        It raises TooSlow, or what `cut` was given. `late()` is called once if the reading takes `late_seconds`.
        """
        self._late_seconds, self._late = late_seconds, late
        return self

    def __enter__(self):
        loop = asyncio.get_running_loop()
        self._reader, self._now, self._call_later = asyncio.current_task(), loop.time, loop.call_later
        self._cancelling = self._reader.cancelling()
        self._started_at = self._returned_at = self._now()
        self._samples.append((0.0, 0))
        # One timer for both: a small body is there before anything is to be looked at.
        self._timer = self._call_later(self._late_seconds, self._look)

    def __exit__(self, _, error, __):
        self._timer.cancel()
        # What is called when it is late mostly holds this body: together they would wait for the garbage collector.
        self._waiting_since = self._late = None
        # As asyncio's own timeout tells its cancellation from that of somebody else.
        if self._verdict and self._reader.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            self.broken = self._breaks
            raise self._verdict from None

    async def read(self):
        """Return the next piece (b"" only at the end of a chunked body); raises BodyIncomplete when it breaks off."""
        while True:
            self._waiting_since = self._now()
            self._ours += self._waiting_since - self._returned_at
            message = await self._receive()
            self._returned_at = self._now()
            self._waiting_since = None
            if message["type"] == "http.disconnect":
                self.broken = True
                raise BodyIncomplete
            piece = message.get("body", b"")
            self.received += len(piece)
            self.ended = not message.get("more_body", False)
            if self.length is not None and self.received > self.length:
                raise BodyIncomplete("The body is longer than its Content-Length; nothing was stored.")
            if self.ended and self.length is not None and self.received < self.length:
                raise BodyIncomplete
            if piece or self.ended:
                return piece

    def _look(self):
        now = self._now()
        self._timer = self._call_later(TICK_SECONDS, self._look)
        late, self._late = self._late, None
        if late:
            late()
        if self._waiting_since is None:
            return
        theirs = now - self._started_at - self._ours
        self._samples.append((theirs, self.received))
        while len(self._samples) > 1 and self._samples[1][0] <= theirs - RATE_SECONDS:
            self._samples.popleft()
        since, received = self._samples[0]
        if now - self._waiting_since >= SILENCE_SECONDS:
            self.cut(TooSlow(f"No byte came for {SILENCE_SECONDS} seconds."))
        elif theirs - since >= RATE_SECONDS and self.received - received < RATE_BYTES * RATE_SECONDS:
            self.cut(TooSlow(f"The body came at less than {RATE_BYTES} bytes a second."))

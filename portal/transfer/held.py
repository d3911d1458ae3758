"""A stream whose digest is known beforehand: held until all of it has come and has that, then read like any other.

What a stream brings is stored, and told of, as it comes. Where its client says what the whole must be, nothing may be
stored before the whole is there.
"""

from contextlib import asynccontextmanager, nullcontext

from django.conf import settings

from portal.exceptions import DigestMismatch, OutOfSpace, StorageUnavailable
from portal.services.space import storage_errors
from portal.storage.spool import MEMORY_BYTES, Spool
from portal.transfer.body import Body, read_framed_length
from portal.transfer.pools import Jobs
from portal.transfer.receive import GATHER_BYTES

#: It is read in such pieces, each of which a reader takes apart in the event loop.
PIECE_BYTES = 64 * 2**10


class HeldBody:
    """What came, to be read as a Body is; `close` lets it go."""

    def __init__(self):
        self.complete = False
        self._spool, self._jobs, self._left = Spool("sha256"), Jobs(), 0

    async def take(self, body, sha256s):
        """Take all of a Body; raises BodyIncomplete, TooSlow, DigestMismatch, OutOfSpace, StorageUnavailable."""
        if body.length:
            await self._jobs.run_io(self._refuse_when_full, body.length)
        pieces, size = [], 0
        with body.paced():
            while not body.complete:
                pieces.append(await body.read())
                size += len(pieces[-1])
                if size >= GATHER_BYTES or body.complete:
                    await self._jobs.run_io(self._add, pieces)
                    pieces, size = [], 0
        if any(sha256 != self._spool.digest for sha256 in sha256s):
            raise DigestMismatch
        await self._jobs.run_io(self._rewind)

    def paced(self):
        """Return a context that does nothing: nobody is waited for."""
        return nullcontext()

    async def read(self):
        """Return the next piece; raises StorageUnavailable."""
        piece = await self._jobs.run_io(self._read)
        if not piece:
            raise StorageUnavailable("What was held of the body is gone.")
        self._left -= len(piece)
        self.complete = not self._left
        return piece

    async def close(self):
        """Let it go, once nobody reads it."""
        await self._jobs.close(self._spool.close)
        # Where nothing was begun, nothing was closed.
        self._spool.close()

    def _add(self, pieces):
        self._refuse_when_full(sum(map(len, pieces)))
        with storage_errors():
            for piece in pieces:
                self._spool.add(piece)

    def _refuse_when_full(self, wanted):
        """Leave as much free where it is held as where files are stored; what stays in memory takes none of it.

        Nothing is set aside for bytes that may never come.
        """
        if self._spool.size + wanted <= MEMORY_BYTES:
            return
        with storage_errors():
            free = self._spool.free_bytes()
        if free - wanted < settings.PORTAL_MIN_FREE_BYTES:
            raise OutOfSpace("There is no room to hold the body until all of it has come.")

    def _rewind(self):
        with storage_errors():
            self._spool.rewind()
        self._left = self._spool.size
        self.complete = not self._left

    def _read(self):
        with storage_errors():
            return self._spool.read(PIECE_BYTES)


@asynccontextmanager
async def open_stream(exchange, sha256s):
    """Give the Body of a stream; with digests, one that has come whole and has them. Raises as `HeldBody.take`."""
    body = exchange.body = Body(exchange.receive, read_framed_length(exchange))
    if not sha256s:
        yield body
        return
    held = HeldBody()
    try:
        await held.take(body, sha256s)
        yield held
    finally:
        await held.close()

"""What became of each member, told in order: line by line as it becomes durable, or as one JSON object at the end."""

import asyncio
import tempfile

import orjson

from portal.serializers.bulk import error_members
from portal.transfer.stream import STALL_SECONDS, ClientGone, send_blocks

#: Results of a JSON answer beyond this lie in a file without a name: memory stays flat.
SPOOL_BYTES = 2**20
BLOCK_BYTES = 256 * 2**10
LINES, WHOLE = "application/x-ndjson", "application/json"


def make_results(exchange):
    """Return the results of the form that the request's Accept likes best: of two alike the one that it names first."""
    try:
        lines = exchange.request.get_preferred_type([WHOLE, LINES]) == LINES
    except ValueError:
        # What cannot be read asks for nothing.
        lines = False
    return Lines(exchange) if lines else Whole(exchange)


def render_refused(path, error):
    """Return the members of the result of a member that was refused."""
    known = {"path": path, "status": "REJECTED", "file_id": None, "sha256": None, "size_bytes": None}
    return known | {"error": error_members(error)}


def render_stored(path, file):
    """Return the members of the result of a member that is stored, now or before."""
    stored = {"path": path, "status": "STORED", "file_id": file.id, "sha256": file.sha256}
    return stored | {"size_bytes": file.size_bytes}


class Lines:
    """One JSON object a line, sent as soon as it is known; for clients that read while they send."""

    def __init__(self, exchange):
        self._exchange = exchange

    async def add(self, results):
        """Send these results; raises ClientGone when the client does not take them."""
        if not self._exchange.started:
            await self._exchange.start(200, {"Content-Type": LINES})
        block = b"".join(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE) for result in results)
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._exchange.send_body(block, more=True)
        except TimeoutError:
            raise ClientGone from None

    async def end(self, headers):
        """Send the end of the answer; `headers` go with it if none have gone yet."""
        if not self._exchange.started:
            await self._exchange.start(200, headers | {"Content-Type": LINES})
        await self._exchange.send_body(b"", more=False)

    def close(self):
        """Nothing is held."""


class Whole:
    """One object `{"results": […]}`, sent when all has come: most clients read nothing before they have sent all."""

    def __init__(self, exchange):
        self._exchange = exchange
        self._spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed by close()
        self._spool.write(b'{"results":[')
        self._comma = b""

    async def add(self, results):
        """Keep these results."""
        for result in results:
            self._spool.write(self._comma + orjson.dumps(result))
            self._comma = b","

    async def end(self, headers):
        """Send the whole answer."""
        self._spool.write(b"]}")
        length = self._spool.tell()
        self._spool.seek(0)

        async def next_block():
            return self._spool.read(BLOCK_BYTES)

        await self._exchange.start(200, headers | {"Content-Type": WHOLE, "Content-Length": str(length)})
        await send_blocks(self._exchange, next_block)

    def close(self):
        """Let the file go."""
        self._spool.close()

"""A manifest comes in: a line of JSON for each file that is declared, any number of them, a block at a time."""

from functools import partial

import orjson

from portal import access
from portal.exceptions import BodyIncomplete, Invalid, TooSlow
from portal.serializers.declarations import read_entry, render_declared
from portal.services.declarations import declare_files
from portal.services.entries import Entry
from portal.storage import get_storage
from portal.transfer.auth import identify
from portal.transfer.body import read_framed_length
from portal.transfer.digests import read_digests
from portal.transfer.held import open_stream
from portal.transfer.many import end_results
from portal.transfer.pools import Jobs
from portal.transfer.results import make_results

#: So many lines share a transaction, and are told of together.
BLOCK_LINES = 500
#: The longest path, each byte of it escaped, with all else that a line may say.
MAX_LINE_BYTES = 16 * 2**10


async def put_manifest(exchange, batch_id):
    """Declare the file of each line (NDJSON) in a batch; answer with a result for each, in order."""
    jobs = Jobs()
    caller, batch, sha256s = await jobs.run_database(_begin, exchange, batch_id)
    async with open_stream(exchange, sha256s) as body:
        results = make_results(exchange)
        try:
            broken = await _take_in(body, partial(_declare, jobs, results, caller, batch))
            if broken:
                await results.add([render_declared(Entry(None, error=broken))])
            await end_results(exchange, results)
        finally:
            results.close()


def _begin(exchange, batch_id):
    """Check all that the headers tell; nothing of the body has been read yet."""
    caller = identify(exchange)
    caller.require(access.UPLOAD)
    batch = access.get_batch(caller, batch_id)
    sha256s = read_digests(exchange)
    read_framed_length(exchange)
    return caller, batch, sha256s


async def _take_in(body, declare):
    """Hand the lines to `declare`, a block at a time; return the error that the body broke off with, or None."""
    lines, broken = Lines(), None
    try:
        with body.paced():
            while not body.complete:
                lines.feed(await body.read())
                while len(lines.whole) >= BLOCK_LINES:
                    await declare(lines.take(BLOCK_LINES))
        lines.finish()
    except (BodyIncomplete, TooSlow) as error:
        broken = error
    await declare(lines.take(BLOCK_LINES))
    return broken


async def _declare(jobs, results, caller, batch, lines):
    if lines:
        await results.add(await jobs.run_database(_declare_lines, caller, batch, lines))


def _declare_lines(caller, batch, lines):
    # Hundreds of lines take long to check: not where the other requests wait for their turn.
    entries = [_read_line(line) for line in lines]
    declare_files(caller, batch, entries, storage=get_storage())
    return [render_declared(entry) for entry in entries]


def _read_line(line):
    """Return the Entry of one line; one that cannot be read carries its error."""
    try:
        if line is None:
            raise Invalid(f"A line of more than {MAX_LINE_BYTES} bytes.")
        return read_entry(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        return Entry(None, error=Invalid(f"Not a line of JSON: {error}."))
    except Invalid as error:
        return Entry(None, error=error)


class Lines:
    """Cuts a stream into its lines; an empty one is left out, and one that is too long is None."""

    def __init__(self):
        self.whole = []
        self._begun = bytearray()
        self._too_long = False

    def feed(self, piece):
        """Take the next bytes."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            self._add(part)
            self.finish()
        self._add(rest)

    def finish(self):
        """End the line that was begun."""
        line = None if self._too_long else bytes(self._begun)
        if line is None or line.strip():
            self.whole.append(line)
        self._begun.clear()
        self._too_long = False

    def take(self, count):
        """Return the first `count` whole lines, and let them go."""
        taken, self.whole = self.whole[:count], self.whole[count:]
        return taken

    def _add(self, part):
        self._too_long = self._too_long or len(self._begun) + len(part) > MAX_LINE_BYTES
        if not self._too_long:
            self._begun += part

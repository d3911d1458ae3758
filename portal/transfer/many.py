"""One request, many files: each member of a tar or a form is stored as it comes in, and has a result of its own.

A stream that breaks off keeps what came whole before.
"""

from functools import partial

from portal.services.whole_files import begin_files
from portal.storage import get_storage
from portal.transfer.auth import identify
from portal.transfer.body import read_framed_length
from portal.transfer.digests import read_digests
from portal.transfer.errors import body_left, drain
from portal.transfer.forms import FormReader, read_boundary
from portal.transfer.held import open_stream
from portal.transfer.intake import Stream
from portal.transfer.pools import Jobs
from portal.transfer.results import make_results
from portal.transfer.tar import TarReader

TAR, FORM = "application/x-tar", "multipart/form-data"


async def post_files(exchange, batch_id):
    """Store each member of a tar or of a multipart form in a batch; answer with a result for each, in order."""
    jobs = Jobs()
    group, reader, sha256s = await jobs.run_database(_begin, exchange, batch_id)
    async with open_stream(exchange, sha256s) as body:
        results = make_results(exchange)
        stream = Stream(jobs, group, results)
        try:
            await stream.take_in(body, reader)
            await end_results(exchange, results)
        finally:
            results.close()
            if group.arrivals or stream.arrival:
                await jobs.close(partial(_close, group, stream.arrival))


async def end_results(exchange, results):
    """Send the end of the results; when body is left that nobody reads, the connection is closed."""
    left = body_left(exchange)
    await results.end({"Connection": "close"} if left else {})
    if left:
        await drain(exchange)


def _begin(exchange, batch_id):
    """Check all that the headers tell; nothing of the body has been read yet."""
    group = begin_files(identify(exchange), batch_id, storage=get_storage())
    sha256s = read_digests(exchange)
    content_type = exchange.text(b"content-type")
    reader = TarReader() if content_type.partition(";")[0].strip().lower() == TAR else None
    reader = reader or FormReader(read_boundary(content_type))
    group.refuse_closed()
    read_framed_length(exchange)
    return group, reader, sha256s


def _close(group, arrival):
    if arrival is not None:
        group.drop(arrival)
    group.close()

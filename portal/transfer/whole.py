"""One request, one file: refused on its headers alone, or hashed as it comes in, made durable, recorded."""

from functools import partial

import orjson

from portal.transfer.body import Body, read_content_length
from portal.transfer.names import read_filename, read_path
from portal.transfer.pools import Jobs, Places
from portal.transfer.receive import GATHER_BYTES
from portal.transfer.whole_intake import STORE, Intake

#: A body up to this size, by its Content-Length, is taken before the headers are looked at: then one step does it all.
EARLY_BYTES, EARLY_DIGITS = 64 * 2**10, 5
#: If it has not come by then it is late, and a refusal does not wait for it.
EARLY_SECONDS = 0.02
#: So many at once in one process: strangers could fill the memory otherwise. For all others the headers come first.
EARLY_PLACES = Places(256)


async def put_file(exchange, batch_id, path):
    """Store the body as the file of this path in a batch; any error means that nothing was stored."""
    await _take_in(exchange, batch_id, lambda: read_path(path))


async def post_file(exchange):
    """Store the body as a file without a batch; any error means that nothing was stored."""
    await _take_in(exchange, None, lambda: (None, read_filename(exchange.text(b"content-disposition"))))


async def _take_in(exchange, batch_id, read_names):
    jobs, intake = Jobs(), Intake(exchange, batch_id, read_names)
    early = intake.may_join and _comes_at_once(exchange) and EARLY_PLACES.take()
    try:
        rest = await (_read_early if early else _read)(exchange, jobs, intake)
        if not intake.begun or intake.joins(rest):
            status, headers, members = await jobs.run_together(STORE, batch_id, (intake, rest))
        else:
            await jobs.run_io(intake.finish, rest)
            await jobs.run_judges(intake.judge)
            status, headers, members = await jobs.run_database(intake.record)
    finally:
        if early:
            EARLY_PLACES.leave()
        if intake.unclean:
            await jobs.close(intake.close)
    headers |= {"Content-Type": "application/json"}
    await exchange.answer(status, headers, orjson.dumps(members, option=orjson.OPT_UTC_Z))


def _comes_at_once(exchange):
    """Whether the body is so small, by what is said of it, that it came with the headers or right behind them."""
    lengths = exchange.values(b"content-length")
    waits = exchange.values(b"expect") or exchange.values(b"transfer-encoding")
    text = lengths[0] if len(lengths) == 1 and not waits else b""
    return text.isdigit() and len(text) <= EARLY_DIGITS and int(text) <= EARLY_BYTES


async def _read_early(exchange, jobs, intake):
    """Return all of a small body; only when it is late the headers are looked at before it has come."""
    body = exchange.body = Body(exchange.receive, read_content_length(exchange))
    pieces, begins = [], []
    with body.paced(EARLY_SECONDS, partial(_begin_beside, body, jobs, intake, begins)):
        while not body.complete:
            pieces.append(await body.read())
    # One at most.
    for begin in begins:
        await begin
    return pieces


def _begin_beside(body, jobs, intake, begins):
    """Look at the headers while the body is waited for; if they are refused, it is waited for no more."""
    begin = jobs.start_database(intake.begin)
    begins.append(begin)
    begin.add_done_callback(partial(_end_beside, body))


def _end_beside(body, begin):
    error = None if begin.cancelled() else begin.exception()
    if error:
        body.cut(error, broken=False)


async def _read(exchange, jobs, intake):
    """Look at the headers, then take the body while it comes in; return the pieces that are still to be written."""
    await jobs.run_database(intake.begin)
    body = exchange.body = Body(exchange.receive, intake.arrival.length)
    pieces, size = [], 0
    with body.paced():
        while not body.complete:
            piece = await body.read()
            if not pieces and intake.arrival.holds(len(piece)):
                intake.write([piece])
                continue
            pieces.append(piece)
            size += len(piece)
            if size >= GATHER_BYTES:
                # The server reads on from the client meanwhile, into a buffer of its own.
                await jobs.run_io(intake.write, pieces)
                pieces, size = [], 0
    return pieces

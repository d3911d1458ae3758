"""A part comes in: refused on its headers alone, or read with back-pressure, hashed, written, synced, recorded."""

import asyncio
from uuid import UUID

import orjson

from portal import access
from portal.content_digest import read_sha256
from portal.exceptions import Invalid, LengthMissing, PartBusy
from portal.services.parts import begin_part
from portal.storage import get_storage
from portal.transfer import pools
from portal.transfer.auth import identify
from portal.transfer.body import Body, read_content_length
from portal.transfer.disk import disk

#: Pieces are gathered to so much before a thread is woken for them. Bounds what one request holds in memory.
GATHER_BYTES = 512 * 2**10
#: How long a request waits for another one that is writing its part, and how often it looks.
LOCK_SECONDS, LOCK_POLL_SECONDS = 10, 0.075
#: An older writer of the same part that has been silent for so long gives way to a newer one.
GIVE_WAY_SECONDS = 15

#: The bodies that are being written in this process, by (session, part number); event loop only.
_writing: dict[tuple[UUID, int], Body] = {}


async def put_part(exchange, session_id, number):
    """Store part `number` of a session and answer with it; any error means that nothing was recorded."""
    jobs, opened, closed = pools.Jobs(), [], False
    key = (session_id, number)
    try:
        mine = await jobs.run_database(_open_part, opened, exchange, session_id, number, key not in _writing)
        writer = opened[0]
        body = exchange.body = Body(exchange.receive, writer.length)
        if not mine:
            await _take_turn(key, jobs, writer)
        if not writer.recorded:
            _writing[key] = body
        with body.paced():
            rest = await _store(body, jobs, writer)
        await jobs.run_io(_finish, writer, rest)
        part = await jobs.run_database(_record, writer)
        closed = True
    finally:
        if _writing.get(key) is exchange.body:
            _writing.pop(key, None)
        if not closed:
            # A claim is given up in the database, a lock by closing its descriptor.
            pool = pools.io if get_storage().locks else pools.database
            await jobs.close(lambda: [writer.close() for writer in opened], pool)
    await exchange.answer(200, {"Content-Type": "application/json"}, orjson.dumps(part))


def _open_part(opened, exchange, session_id, number, free):
    """Check who asks, for what and how long it is, then take the part's byte range if it is `free` in this process.

    Nothing of the body has been read yet. Puts the writer into `opened`, where it is found and closed when this
    request is cancelled meanwhile. Returns whether the range is ours, or the part on record: no turn to wait for.
    """
    opened.append(_begin_part(exchange, session_id, number))
    return opened[0].recorded or (free and opened[0].acquire())


def _begin_part(exchange, session_id, number):
    caller = identify(exchange)
    try:
        length, sha256 = read_content_length(exchange), read_sha256(exchange.text(b"content-digest"))
        if length is None:
            raise LengthMissing
    except (Invalid, LengthMissing):
        # Somebody else's session is 404 whatever else is wrong with the request.
        caller.require(access.UPLOAD)
        access.get_session(caller, session_id)
        raise
    return begin_part(caller, session_id, number, length, storage=get_storage(), expected_sha256=sha256)


async def _take_turn(key, jobs, writer):
    """Get the part's byte range, or learn that the part is on record; raises PartBusy after ten seconds."""
    now = asyncio.get_running_loop().time
    deadline = now() + LOCK_SECONDS
    while not writer.recorded:
        older = _writing.get(key)
        if older is None:
            if await jobs.run_database(writer.acquire):
                return
        elif older.silent_for() >= GIVE_WAY_SECONDS:
            older.cut(PartBusy("A newer request for this part has taken over."))
        if now() >= deadline:
            raise PartBusy
        await asyncio.sleep(LOCK_POLL_SECONDS)


async def _store(body, jobs, writer):
    """Write the body while it comes in; return the pieces that are still to be written."""
    pieces, size = [], 0
    while not body.complete:
        piece = await body.read()
        if not pieces and writer.storage.swift and disk.swift:
            disk.take(writer.write, piece)
            continue
        pieces.append(piece)
        size += len(piece)
        if size >= GATHER_BYTES:
            # The server reads on from the client meanwhile, into a buffer of its own.
            await jobs.run_io(_write, writer, pieces)
            pieces, size = [], 0
    return pieces


def _write(writer, pieces):
    for piece in pieces:
        writer.write(piece)


def _finish(writer, pieces):
    _write(writer, pieces)
    writer.sync()


def _record(writer):
    """Put the part on record, and give its range up as soon as the outcome is known."""
    try:
        return writer.record()
    finally:
        writer.close()

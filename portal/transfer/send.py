"""Content goes out: whole or one range of it, block by block, always as an attachment."""

import base64

from django.conf import settings
from django.utils.http import content_disposition_header

from portal.exceptions import BadRange, StorageUnavailable
from portal.services.files import open_content
from portal.services.space import storage_errors
from portal.storage import get_storage
from portal.transfer.auth import identify
from portal.transfer.conditions import names_tag, parse_range, range_applies
from portal.transfer.errors import Refusal
from portal.transfer.pools import Jobs
from portal.transfer.stream import send_blocks

#: Read at once; what one download holds in memory is about twice this.
BLOCK_BYTES = 256 * 2**10
#: A signed URL is as good as a password until it expires.
_REDIRECT = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"}


async def send_content(exchange, file_id):
    """Answer with the bytes of a STORED file (GET, HEAD; Range, If-Match, If-None-Match, If-Range)."""
    jobs, opened = Jobs(), []
    try:
        # Kept in a list: when this coroutine is cancelled meanwhile, the descriptor is closed all the same.
        await jobs.run_database(lambda: opened.append(_open(exchange, file_id)))
        await _answer(exchange, jobs, opened[0])
    finally:
        await jobs.close(lambda: [content.stored.close() for content in opened if content.stored])


def _open(exchange, file_id):
    def redirect(filename):
        return exchange.method, content_disposition_header(True, filename)

    by_url = redirect if settings.PORTAL_DOWNLOAD == "redirect" else None
    return open_content(identify(exchange), file_id, storage=get_storage(), redirect=by_url)


async def _answer(exchange, jobs, content):
    headers = _headers(exchange, content)
    tag = headers["ETag"]
    if_match, if_none_match = exchange.text(b"if-match"), exchange.text(b"if-none-match")
    if if_match is not None and not names_tag(if_match, tag, weak=False):
        raise Refusal(412, "precondition_failed", "The file is not the one that If-Match names.")
    if if_none_match is not None and names_tag(if_none_match, tag, weak=True):
        await exchange.start(304, headers)
        return await exchange.send_body(b"", more=False)
    if content.url:
        return await exchange.answer(307, _REDIRECT | {"Location": content.url}, b"")
    span = _wanted_range(exchange, content.size, tag)
    start, end = span or (0, content.size)
    if span:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
    headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(end - start)}
    next_block = _reader(jobs, content.stored, start, start if exchange.method == "HEAD" else end)
    # Before the status: what cannot be read at all is an error with a code, and no answer that breaks off.
    blocks = [await next_block()]
    await exchange.start(206 if span else 200, headers)

    async def first_and_next():
        return blocks.pop() if blocks else await next_block()

    await send_blocks(exchange, first_and_next)


def _wanted_range(exchange, size, tag):
    # RFC 9110 defines ranges for GET alone.
    if exchange.method != "GET" or not range_applies(exchange.text(b"if-range"), tag):
        return None
    try:
        return parse_range(exchange.text(b"range"), size)
    except ValueError as error:
        headers = {"Content_Range": f"bytes */{size}"}
        raise Refusal(416, BadRange.code, f"The file has {size} bytes.", **headers) from error


def _reader(jobs, stored, start, end):
    """Return the coroutine function that reads the next block of start..end."""
    offset = start

    async def next_block():
        nonlocal offset
        if offset == end:
            return b""
        block = await jobs.run_io(_read_block, stored, offset, min(BLOCK_BYTES, end - offset))
        if not block:
            raise StorageUnavailable("The bytes of this file end early.")
        offset += len(block)
        return block

    return next_block


def _read_block(stored, offset, length):
    with storage_errors():
        return stored.read(offset, length)


def _headers(exchange, content):
    """Return the headers of every successful answer; what is sent is never run, framed or sniffed."""
    digest = base64.b64encode(bytes.fromhex(content.sha256)).decode()
    policy = exchange.common_headers.get(b"content-security-policy", b"default-src 'none'").decode("latin-1")
    return {
        "ETag": f'"{content.sha256}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": content_disposition_header(True, content.filename),
        "Content-Security-Policy": policy if "sandbox" in policy else f"{policy}; sandbox",
        "X-Content-Type-Options": "nosniff",
    }

"""The one way out for a refusal: problem+json, and enough of the body read that the client sees it."""

import asyncio
import logging

import orjson
from django.conf import settings

from portal.exceptions import Invalid
from portal.problems import problem_body, problem_headers, render_problem
from portal.transfer.body import read_content_length
from portal.transfer.stream import ClientGone

logger = logging.getLogger("portal.errors")

#: How long the rest of a refused body is read, at most.
DRAIN_SECONDS = 2


class Refusal(Exception):
    """An answer that HTTP itself asks for and no service knows: a method, a condition or a range refused."""

    def __init__(self, status, code, detail, **headers):
        self.status, self.code, self.detail = status, code, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(detail)


def render(error):
    """Return `(status, headers, body)` of `error`, whoever named it."""
    if isinstance(error, Refusal):
        body = orjson.dumps(problem_body(error.status, error.code, error.detail))
        return error.status, problem_headers(error.status) | error.headers, body
    return render_problem(error)


async def refuse(exchange, error):
    """Answer with `error`; an answer that has begun can only be broken off, which the client sees as cut short."""
    if not exchange.started:
        return await answer_early(exchange, *render(error))
    # Returning without the last block makes the server cut the connection.
    if not isinstance(error, ClientGone):
        logger.error("answer broke off", exc_info=error)


async def answer_early(exchange, status, headers, body=b""):
    """Answer; when body is left, close the connection, and read at most one chunk or two seconds more of it.

    A client that waits for `100 Continue` is not asked for its body. An ordinary one goes on sending until it looks
    for an answer; closing on it at once would show it a broken pipe instead of the status.
    """
    left = body_left(exchange)
    if left:
        headers = headers | {"Connection": "close"}
    await exchange.answer(status, headers, body)
    if left and not waits_for_continue(exchange):
        await drain(exchange)


def body_left(exchange):
    """Return True when the client may have body under way that nobody has read."""
    if exchange.body is not None:
        return not exchange.body.complete or exchange.body.broken
    try:
        length = read_content_length(exchange)
    except Invalid:
        return True
    return bool(length or exchange.values(b"transfer-encoding"))


def waits_for_continue(exchange):
    """Return True when the client sends its body only after `100 Continue`, and has not got that."""
    return not exchange.reading and (exchange.text(b"expect") or "").lower() == "100-continue"


async def drain(exchange):
    """Read and drop what is left of the body: at most one chunk, two seconds, and nothing of a broken one."""
    if exchange.body is not None and exchange.body.broken:
        return
    dropped = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while dropped < settings.PORTAL_CHUNK_SIZE:
                message = await exchange.receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return

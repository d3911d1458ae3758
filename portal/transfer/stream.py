"""Send an answer block by block: no faster than the client takes it, and no longer than it is there."""

import asyncio

#: A client that does not take one block in this time is taken for gone.
STALL_SECONDS = 60


class ClientGone(Exception):
    """The client went away, or stopped reading, before the whole answer was sent."""


async def send_blocks(exchange, next_block):
    """Send what `next_block()` (a coroutine function) returns until it returns b""; raises ClientGone.

    `send` does not fail when the client has gone, so `receive` is watched beside it.
    """
    loop = asyncio.get_running_loop()
    gone = loop.create_task(_client_gone(exchange.receive))
    try:
        while block := await next_block():
            await _send(exchange, block, gone)
        await exchange.send_body(b"", more=False)
    finally:
        gone.cancel()


async def _send(exchange, block, gone):
    loop = asyncio.get_running_loop()
    if gone.done():
        raise ClientGone
    waiting = True
    try:
        async with asyncio.timeout(STALL_SECONDS) as limit:

            def stop(_):
                # A callback that is on its way cannot be taken back: the block may have been taken meanwhile.
                if waiting and not limit.expired():
                    limit.reschedule(loop.time())

            gone.add_done_callback(stop)
            try:
                await exchange.send_body(block, more=True)
            finally:
                waiting = False
                gone.remove_done_callback(stop)
    except TimeoutError:
        raise ClientGone from None


async def _client_gone(receive):
    while (await receive())["type"] != "http.disconnect":
        pass

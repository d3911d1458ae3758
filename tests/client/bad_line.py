"""A line between client and portal that breaks off: a proxy that cuts one of its connections every so often."""

import asyncio
import contextlib
import threading

BLOCK_BYTES = 64 * 2**10


class BadLine:
    """A context manager in front of `port`; cuts a connection every `seconds`, picked by `dice`.

    `sent` counts the bytes that went towards the portal, `lost` those of requests whose answer may not have come
    through when their connection ended, `cuts` the connections that were cut.
    """

    def __init__(self, port, *, seconds, dice):
        self.port, self.seconds, self.dice = port, seconds, dice
        self.sent = self.lost = self.cuts = 0
        self.url = ""
        self._open = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        cutting = asyncio.create_task(self._cut())
        self._ready.set()
        await self._end.wait()
        cutting.cancel()
        server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _cut(self):
        while True:
            await asyncio.sleep(self.seconds)
            if self._open:
                self.dice.choice(sorted(self._open, key=id)).transport.abort()
                self.cuts += 1

    async def _carry(self, reader, writer):
        self._open.add(writer)
        onward, request = None, Request()
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.port)
            pumps = [self._pump(reader, onward, request.ask), self._pump(there, writer, request.answer)]
            tasks = [asyncio.create_task(pump) for pump in pumps]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass  # there is no server just now
        finally:
            self._open.discard(writer)
            self.sent += request.sent
            self.lost += request.asked + request.answered
            for one in (writer, onward):
                if one is not None:
                    one.transport.abort()

    async def _pump(self, reader, writer, count):
        with contextlib.suppress(OSError):
            while block := await reader.read(BLOCK_BYTES):
                count(len(block))
                writer.write(block)
                await writer.drain()


class Request:
    """The last request of a connection, in bytes: `asked` while no answer has begun, `answered` from then on."""

    def __init__(self):
        self.sent = self.asked = self.answered = 0

    def ask(self, size):
        """Bytes went towards the portal."""
        self.sent += size
        self.asked += size
        self.answered = 0

    def answer(self, size):
        """An answer came back."""
        if self.asked:
            self.answered, self.asked = self.asked, 0

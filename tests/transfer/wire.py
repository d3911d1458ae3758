"""The server's application called without a server: a connection that the test feeds and reads message by message."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
from django.db import connections

from boot.asgi import application
from portal.transfer import pools

#: The thread pools of the application.
NAMES = ("database", "io", "judges", "both")
#: What says where a body ends; one that is given whole is chunked where the test says nothing.
FRAMING = "content-length:", "transfer-encoding:"


class Wire:
    """One request over ASGI; `lines` are whole headers. What the application sends is kept in `messages`."""

    def __init__(self, method, target, *lines, token=None, body=None, scheme="http", client="127.0.0.1"):
        path, _, query = target.partition("?")
        if body is not None and not any(line.lower().startswith(FRAMING) for line in lines):
            lines = [*lines, "Transfer-Encoding: chunked"]
        lines = ["Host: localhost", *lines, *([f"Authorization: Bearer {token}"] if token else [])]
        pairs = [line.partition(":") for line in lines]
        self.scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs],
            "client": (client, 50_000),
            "server": ("127.0.0.1", 8000),
        }
        self.messages = []
        self.asked = 0
        self._inbox = asyncio.Queue()
        if body is not None:
            self.feed(body, more=False)

    def feed(self, body=b"", *, more=True):
        """Let a piece of the body arrive."""
        self._inbox.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self):
        """Let the client go away."""
        self._inbox.put_nowait({"type": "http.disconnect"})

    def receive(self):
        """What the application calls for the next message; no frame of ours waits for it, as with the server."""
        self.asked += 1
        return self._inbox.get()

    async def send(self, message):
        """What the application calls with a message for the client."""
        self.messages.append(message)

    async def run(self, app=application):
        """Let the application answer; return this wire."""
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self):
        """The status that was sent."""
        return self.messages[0]["status"]

    def header(self, name):
        """Return the one value of a header as text, None without it."""
        values = [value for key, value in self.messages[0]["headers"] if key == name.lower().encode()]
        assert len(values) <= 1
        return values[0].decode("latin-1") if values else None

    @property
    def body(self):
        """The whole body that was sent."""
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def ended(self):
        """Whether the last block of the answer was sent."""
        return len(self.messages) > 1 and not self.messages[-1]["more_body"]

    @property
    def code(self):
        """The code of the problem that was sent."""
        return orjson.loads(self.body)["code"]


def call(method, target, *lines, **options):
    """Answer one request to its end; return its Wire."""
    return asyncio.run(Wire(method, target, *lines, **{"body": b"", **options}).run())


@contextlib.contextmanager
def own_thread_pools(monkeypatch, size=1):
    """Give the application threads of this test alone, whose database connections are closed at the end."""
    threads = {name: ThreadPoolExecutor(size, thread_name_prefix=name) for name in NAMES}
    for name, pool in threads.items():
        monkeypatch.setattr(pools, name, pool)
    try:
        yield
    finally:
        for pool in threads.values():
            together = threading.Barrier(size)
            list(pool.map(lambda _, together=together: (together.wait(), connections.close_all()), range(size)))
            pool.shutdown()


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own: it stands while there is something to do, then jumps to the next timer."""

    def __init__(self):
        self._now = 0.0
        super().__init__()

    def time(self):
        """Return the seconds that have passed by that clock."""
        return self._now

    def _run_once(self):
        due = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if due and not self._ready:
            self._now = max(self._now, min(due))
        super()._run_once()


def run_jumping(coroutine):
    """Run `coroutine`, which must use no threads, with no wait for any timer; return its result."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(coroutine)

"""Both doors as the server has them, in this very thread: a request in, its answer out, and the same every time."""

import asyncio
from concurrent.futures import Executor, Future
from urllib.parse import quote

import orjson

from portal import storage as storages
from portal.services import finalize, openings
from portal.transfer import manifest, pools
from tests.stateful.declare_calls import BLOCK_LINES
from tests.stateful.fates import Killed
from tests.transfer.wire import NAMES, Wire


class AtOnce(Executor):
    """Runs what is submitted at once, here: one thread, one connection, one order of things."""

    def __init__(self, *_args, **_options):
        pass

    def submit(self, function, /, *args, **options):
        """Return the Future of what has ended already."""
        future, loop = Future(), asyncio._get_running_loop()
        # As in a thread of its own: Django gives each task of an event loop another connection.
        asyncio._set_running_loop(None)
        try:
            future.set_result(function(*args, **options))
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is to see it
            future.set_exception(error)
        finally:
            asyncio._set_running_loop(loop)
        return future


def put_in_place(storage, monkeypatch):
    """Let both doors work in this thread, on `storage`."""
    for name in NAMES:
        monkeypatch.setattr(pools, name, AtOnce())
    monkeypatch.setattr(openings, "ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr(storages, "open_storage", lambda url: storage)
    # So that a short manifest has several.
    monkeypatch.setattr(manifest, "BLOCK_LINES", BLOCK_LINES)
    # Nobody else works here, so there is nobody to wait for.
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 0)


class Answer:
    """An answer: `status`, None when the process died on it; `members` of a JSON body, `body` in bytes."""

    def __init__(self, wire=None):
        self.status = wire and wire.status
        self.body = wire.body if wire else b""
        is_json = wire and "json" in (wire.header("content-type") or "")
        self.members = orjson.loads(self.body) if is_json else {}

    @property
    def outcome(self):
        """Status and code."""
        return self.status, self.members.get("code") if isinstance(self.members, dict) else None

    @property
    def items(self):
        """Word and code of each of many."""
        if "results" not in self.members:
            return None
        items = self.members["results"]
        return [(one.get("action") or one["status"], one.get("error", {}).get("code")) for one in items]


class Doors:
    """The doors for the `owner` of one token; `name` says both."""

    def __init__(self, owner, word, token):
        self.owner, self.name, self.token, self.runner = owner, f"{owner} ({word})", token, asyncio.Runner()

    def ask(self, method, path, body=None, *lines, cut=False, short=0):
        """Return the Answer to one request; a body that is no bytes is JSON.

        One that is `cut` breaks off in it, and the client is gone; one that is `short` by so many bytes ends too early,
        and the client still reads.
        """
        if body is not None and not isinstance(body, bytes):
            body, lines = orjson.dumps(body), (*lines, "Content-Type: application/json")
        path, question, query = path.partition("?")
        if body is not None:
            lines = (*lines, f"Content-Length: {len(body) + short}")
        wire = Wire(method, quote(path) + question + query, *lines, token=self.token)
        wire.feed((body or b"")[: -1 if cut else None], more=cut or bool(short))
        if cut:
            wire.leave()
        elif short:
            wire.feed(more=False)
        try:
            self.runner.run(wire.run())
        except Killed:
            return Answer()
        assert wire.ended, f"{method} {path}: the answer has no end"
        return Answer(wire)

    def get(self, path):
        """Return the members of what is there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.body[:500]!r}"
        return answer.members

    def close(self):
        """Let the event loop go."""
        self.runner.close()

"""Small portals: processes that make exactly the calls of server and worker, to be stopped at each of them."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Listener
from pathlib import Path

import psycopg

from boot.leash import leashed
from tests.crashes.line import ANSWER_SECONDS, Answer, Line, Lost
from tests.crashes.mortal import MortalPortal
from tests.server import ROOT, ServerFailed

#: All that the portal writes but who may ask: what is left of one scene changes the calls of the next.
TABLES = (
    "delivery endpoint outboxevent eventcounter partclaim uploadpart uploadsession ingestfile manifestblock uploadbatch"
    " idempotencykey ownerusage recount workerbeat"
).split()


class Unwell(Answer):
    """A 503 or 507 while something was made to fail: the same request is to be sent again."""

    again = True


class Small:
    """One small portal: `call` asks it, `kill` ends it."""

    def __init__(self, line):
        self.line, self.pid = line, line.recv()

    def call(self, name, *arguments):
        """Return what the function `name` of `doors` returned; Lost when the process died on it."""
        try:
            self.line.send((name, arguments))
            if not self.line.poll(ANSWER_SECONDS):
                raise ServerFailed(f"no answer to {name} {arguments[:2]} for {ANSWER_SECONDS} s")
            went_well, answer = self.line.recv()
        except (EOFError, OSError) as error:
            raise Lost from error
        if not went_well:
            raise ServerFailed(answer)
        return answer

    def kill(self):
        """kill -9, and wait until nothing of it is left."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        while Path(f"/proc/{self.pid}").exists():
            time.sleep(0.001)
        self.line.close()


class SmallPortal(MortalPortal):
    """A data folder and a database, and small portals on them; `at` is the one that is asked now."""

    def __enter__(self):
        self.migrate()
        self.token, self.at, self.alive, self._kept = self.create_token("ann"), None, [], None
        self._sockets = Path(tempfile.mkdtemp(prefix="portal-small-"))
        self._listener = Listener(str(self._sockets / "line"), "AF_UNIX")
        command = [sys.executable, "-m", "tests.crashes.nursery", self._listener.address, self.token]
        with self.log.open("ab") as log:
            self._nursery = subprocess.Popen(
                leashed(command), env=self.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True
            )
        return self

    def __exit__(self, *_):
        self.end_all()
        if self._kept:
            self._kept.close()
        self._listener.close()
        self._nursery.stdin.close()
        self._nursery.wait()
        shutil.rmtree(self._sockets)

    def bear(self):
        """Bear one more small portal, ask it from now on, and return it."""
        self._nursery.stdin.write("\n")
        self._nursery.stdin.flush()
        self.at = Small(self._listener.accept())
        self.alive.append(self.at)
        return self.at

    def end(self, small):
        """kill -9 one of them."""
        self.struck_at = datetime.now(UTC)
        small.kill()
        self.alive.remove(small)

    def end_all(self):
        """kill -9 all of them."""
        for small in list(self.alive):
            self.end(small)

    def manage(self, *arguments):
        """Run a command: of its own before anybody is born, else in the small portal that is asked now."""
        return self.at.call("manage", *arguments) if getattr(self, "at", None) else super().manage(*arguments)

    def command(self, *arguments):
        """The same: it is a process of the portal that is to have done it."""
        return self.manage(*arguments)

    def execute(self, statement, *values):
        """Run one statement of SQL, past all rules; `?` stands for a value."""
        with self._connect() as (connection, mark):
            connection.execute(statement.replace("?", mark), values)
            connection.commit()

    @contextlib.contextmanager
    def _connect(self):
        # A connection to PostgreSQL may be kept; one to SQLite is a process that has the file open.
        if self.database_url.startswith("sqlite:"):
            with super()._connect() as opened:
                yield opened
            return
        self._kept = self._kept or psycopg.connect(self.database_url)
        yield self._kept, "%s"
        self._kept.commit()

    def wipe(self):
        """End everybody and forget everything but who may ask."""
        self.end_all()
        for table in TABLES:
            self.execute(f"DELETE FROM portal_{table}")
        for kind in ("staging", "objects", "trash"):
            for path in (self.storage / kind).glob("*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


class PipeLine(Line):
    """A Line to whichever small portal is asked now."""

    def __init__(self, portal, fault):
        super().__init__("http://small", portal.token, fault)
        self.portal = portal
        #: Whether something was made to fail: 503 and 507 are right then, and never a 500.
        self.expects_trouble = False

    def ask(self, method, path, body=None, **headers):
        """As Line's: Answer, or Lost."""
        if isinstance(body, dict):
            body, headers["content_type"] = json.dumps(body).encode(), "application/json"
        status, body = self.portal.at.call("ask", method, path, body, self._headers(headers))
        self.statuses[status] += 1
        members = json.loads(body) if body[:1] in (b"{", b"[") and not path.endswith("/content") else {}
        if self.expects_trouble and status in (503, 507):
            return Unwell(status, body, members)
        answer = Answer(status, body, members)
        if status >= 500:
            self.fault(f"{method} {path} was answered {status} {body[:300]!r}")
        return answer

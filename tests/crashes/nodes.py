"""Two nodes, each a server and a worker, on one database and one bucket; either may be killed at any time."""

import hashlib
import random
import threading
import time

import requests

from tests.api import Api
from tests.crashes.mortal import SERVER, WORKER, MortalPortal
from tests.s3 import CREDENTIALS
from tests.samples import pattern

CHUNK = 5 * 2**20
#: Two parts, one part, no part.
BODIES = (pattern(CHUNK + 4096), pattern(20_000, seed=1), b"")
CLIENTS = 4
#: What a client tries again after: a node that is gone, a part or a file that another is at work on, a fault.
AGAIN = (408, 409, 429, 500, 502, 503)
GIVE_UP_SECONDS = 240


class Nodes:
    """Two nodes; a context manager. `kill_and_revive()` takes one of them, or its worker alone, away for a while."""

    def __init__(self, folder, *, database_url, storage_url, dice):
        env = CREDENTIALS | {"PORTAL_STORAGE_URL": storage_url, "SECRET_KEY": "k" * 50}
        self.nodes = [MortalPortal(folder / name, database_url=database_url, env=env) for name in ("one", "two")]
        self.dice = dice

    def __enter__(self):
        self.nodes[0].migrate()
        for node in self.nodes:
            node.start()
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.stop()

    def kill_and_revive(self):
        """kill -9 a node, let its leases run out, start it again."""
        node = self.dice.choice(self.nodes)
        node.strike(*self.dice.choice([(SERVER, WORKER), (SERVER, WORKER), (SERVER,), (WORKER,)]))
        node.end_leases()
        node.revive()


class Client(threading.Thread):
    """Uploads file after file until told to stop, each request to either node; keeps what was acknowledged."""

    def __init__(self, urls, token, batch, seed):
        super().__init__(name=f"client-{seed}")
        self.apis, self.batch, self.dice = [Api(url, token) for url in urls], batch, random.Random(seed)
        self.stopped, self.stored, self.failure = threading.Event(), [], None

    def run(self):
        """Upload; a failure ends it and is kept."""
        try:
            while not self.stopped.is_set():
                self.stored.append(self.upload(self.dice.choice(BODIES)))
        except BaseException as error:  # noqa: BLE001 - told by the test, in its own thread
            self.failure = error

    def upload(self, data):
        """Take one file the whole way; return its id and SHA-256 as the portal says them."""
        fields = {"original_filename": "a", "total_size_bytes": len(data), "chunk_size_bytes": CHUNK}
        key = {"Idempotency-Key": f"{self.name}-{self.dice.random()}"}
        body = fields | {"batch_id": self.batch}
        session = self.insist(lambda api: api.post("/uploads/sessions", body, headers=key)).json()
        path = f"/uploads/sessions/{session['session_id']}"
        numbers = list(range(1, session["total_parts"] + 1))
        self.dice.shuffle(numbers)
        for number in numbers:
            part = data[(number - 1) * CHUNK : number * CHUNK]
            self.insist(lambda api, part=part, number=number: api.put(f"{path}/parts/{number}", part))
        file = self.insist(lambda api: api.post(f"{path}/finalize")).json()
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        return file["id"], file["sha256"]

    def insist(self, call):
        """Return the answer of success, from whichever node gives it."""
        deadline, last = time.monotonic() + GIVE_UP_SECONDS, None
        while time.monotonic() < deadline:
            try:
                last = call(self.dice.choice(self.apis))
            except requests.RequestException as error:
                last = error
                time.sleep(0.05)
                continue
            if last.status_code in (200, 201):
                return last
            assert last.status_code in (202, *AGAIN), last.text
            time.sleep(0.1)
        raise AssertionError(f"no success in {GIVE_UP_SECONDS} s: {getattr(last, 'text', last)}")

"""Question 7: 200 connections that drip a byte a second into parts: what an honest client's GET takes beside them."""

import random
import threading
import time

from benchmarks.client import ask
from benchmarks.measure import Answer, quantile95, say
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal
from tests.raw import RawClient

SLOW = 200
CHUNK = 64 * 2**10
PART = 8 * 2**20
BOUND_MS = 1000


def measure(run):
    """Return the Answer; an upload that does not finish raises."""
    answer, seconds = Answer(), (8 if run.quick else 40)
    with Portal(run.folder / "portal") as portal:
        api = PortalApi(portal)
        target = f"/batches/{api.make_batch()['id']}"
        quiet = ask_for_seconds(portal, target, seconds / 4)
        dripping, upload = Dripping(portal, api), Uploads(api)
        with dripping, upload:
            taken = ask_for_seconds(portal, target, seconds)
    say(f"    {len(taken)} GETs beside {SLOW} dripping connections; {upload.stored} uploads of 64 MiB stored meanwhile")
    detail = (
        f"median {sorted(taken)[len(taken) // 2] * 1000:.0f} ms; p95 before they came {quantile95(quiet) * 1000:.0f} ms"
    )
    answer.add("p95 of GET /batches/{id}", quantile95(taken) * 1000, BOUND_MS, unit="ms", detail=detail)
    answer.add("uploads of 64 MiB that were stored meanwhile", upload.stored, 1, at="least", unit="")
    answer.add("of the dripping connections, still served at the end", dripping.alive, unit="")
    return answer


def ask_for_seconds(portal, target, seconds):
    """GET the batch again and again, 30 ms apart, for so long; return what each took."""
    taken, until = [], time.perf_counter() + seconds
    with RawClient(portal.url, token=portal.token) as client:
        while time.perf_counter() < until:
            began = time.perf_counter()
            ask(client, "GET", target, expected=(200,))
            taken.append(time.perf_counter() - began)
            time.sleep(0.03)
    return taken


class Dripping:
    """SLOW connections, each in a part of its own, that send one byte a second; a context manager."""

    def __init__(self, portal, api):
        session = api.open_session(SLOW * CHUNK, chunk_size_bytes=CHUNK)
        self.clients, self.alive = [], 0
        for number in range(1, SLOW + 1):
            client = RawClient(portal.url, token=portal.token)
            target = f"/uploads/sessions/{session['session_id']}/parts/{number}"
            client.send(client.head("PUT", target, f"Content-Length: {CHUNK}") + b"x")
            self.clients.append(client)
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._drip)

    def _drip(self):
        while not self._stop.wait(1):
            self.alive = sum(self._send(client) for client in self.clients)

    @staticmethod
    def _send(client):
        try:
            client.send(b"x")
        except OSError:  # cut off, as it should be after a minute
            return False
        return True

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        for client in self.clients:
            client.reset()


class Uploads:
    """An honest client that stores one file of 64 MiB after the other; a context manager."""

    def __init__(self, api):
        self.api, self.stored, self._error = api, 0, None
        self._body = random.Random(1).randbytes(PART)  # noqa: S311 - bytes that do not compress
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self._stop.is_set():
                session = self.api.open_session(8 * PART, chunk_size_bytes=PART)
                self.api.put_parts(session, range(1, 9), self._body, connections=2)
                self.api.delete(f"/files/{self.api.finalize(session)['id']}")
                self.stored += 1
        except Exception as error:  # noqa: BLE001 - raised when the block ends
            self._error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self._error:
            raise self._error

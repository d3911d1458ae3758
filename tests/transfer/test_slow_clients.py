"""200 clients that drip, or do not read, beside an honest one: it is served as if they were not there."""

import statistics
import threading
import time

import pytest

from tests.api import Api, expect
from tests.raw import RawClient
from tests.samples import CHUNK
from tests.server import LiveServer
from tests.transfer.uploads import Upload

#: The bound is a time: what other tests take of the machine is not the portal's.
pytestmark = pytest.mark.usefixtures("alone")

SLOW = 200
#: What an honest client may have to wait at most, 19 times of 20; the project's own bound.
P95_SECONDS = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory, fresh_database):
    """A portal of its own, with ann: what 200 slow clients leave behind is nobody else's business."""
    with fresh_database() as url, LiveServer(tmp_path_factory.mktemp("slow"), database_url=url) as server:
        yield server


@pytest.fixture(scope="module")
def ann(server):
    """ann, at this server."""
    return Api(server.url, server.create_token("ann"))


class Drip:
    """Clients that have sent `starts` (a function of the client and its number) and then send `drop` once a second."""

    def __init__(self, server, token, starts, drop):
        self.clients, self.drop = [], drop
        for number in range(1, SLOW + 1):
            client = RawClient(server.url, token=token, receive_buffer=4096)
            self.clients.append(client)
            client.send(starts(client, number))
        self.rounds = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.wait(1):
            for client in self.clients:
                client.send(self.drop)
            self.rounds += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        for client in self.clients:
            client.reset()


def seconds_of_gets(ann, path, *, count, gap):
    """GET a path `count` times, `gap` seconds apart; return what each took. Every one must be answered 200."""
    taken = []
    for _ in range(count):
        began = time.monotonic()
        expect(200, ann.get(path))
        taken.append(time.monotonic() - began)
        time.sleep(gap)
    return taken


def assert_served(ann, drip, *, count=100, gap=0.03):
    """An honest client reads a batch `count` times and stores a file meanwhile."""
    batch = f"/batches/{ann.make_batch()['id']}"
    with drip:
        taken = seconds_of_gets(ann, batch, count=count // 2, gap=gap)
        upload = Upload(ann)
        assert upload.finish() == upload.data
        taken += seconds_of_gets(ann, batch, count=count // 2, gap=gap)
        assert drip.rounds >= 1
    assert statistics.quantiles(taken, n=20)[-1] < P95_SECONDS


def test_parts_that_drip_hold_nobody_up(server, ann):
    slow = Upload(ann, size=SLOW * CHUNK)

    def start(client, number):
        return client.head("PUT", slow.target(number), f"Content-Length: {CHUNK}") + b"x"

    assert_served(ann, Drip(server, ann.token, start, b"x"))
    assert slow.untouched()


def test_json_bodies_that_drip_hold_nobody_up(server, ann):
    def start(client, number):
        return client.head("POST", "/batches", "Content-Length: 1000", "Content-Type: application/json") + b"{"

    assert_served(ann, Drip(server, ann.token, start, b" "), count=50)


def test_heads_that_drip_hold_nobody_up(server, ann):
    def start(client, number):
        return client.head("GET", "/limits")[:-2] + b"X-Slow: "

    assert_served(ann, Drip(server, ann.token, start, b"x"), count=50)


def test_downloads_that_nobody_reads_hold_nobody_up(server, ann):
    file = ann.store(bytes(16 * 2**20), chunk_size_bytes=16 * 2**20)

    def start(client, number):
        return client.head("GET", f"/files/{file['id']}/content")

    # An empty line between requests is let be; the point is that the answer is not read.
    assert_served(ann, Drip(server, ann.token, start, b""), count=50)

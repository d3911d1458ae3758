"""A stop that is asked for: what is under way is finished or cut off within a set time, and a restart loses nothing."""

import threading
import time

import pytest
import requests

from boot.serve import STOP_SECONDS
from tests.api import Api, expect
from tests.raw import RawClient
from tests.rounds import FULL
from tests.samples import CHUNK, pattern
from tests.server import LiveServer

#: What a slow machine may need beside.
MARGIN_SECONDS = 8
CLIENTS = 4


@pytest.fixture
def portal(fresh_database, tmp_path):
    """A server of the test's own, on the database of its kind."""
    with fresh_database() as url, LiveServer(tmp_path, database_url=url) as server:
        yield server


def begin_part(server, token, session):
    """Send the head of a part and half of its bytes; return the connection."""
    client = RawClient(server.url, token=token, seconds=60)
    target = f"/uploads/sessions/{session['session_id']}/parts/1"
    client.send(client.head("PUT", target, f"Content-Length: {CHUNK}") + bytes(CHUNK // 2))
    return client


def test_a_stopped_server_finishes_what_goes_on_and_cuts_off_what_hangs(portal):
    api = Api(portal.url, portal.create_token("ann"))
    good, stuck = (api.open_session(CHUNK) for _ in range(2))
    going, hanging = begin_part(portal, api.token, good), begin_part(portal, api.token, stuck)
    with going, hanging:
        [process] = portal.processes
        began = time.monotonic()
        process.terminate()
        time.sleep(0.5)  # the rest comes when the server has long been told
        going.send(bytes(CHUNK // 2))
        assert going.answer("PUT").status == 200
        assert process.wait(STOP_SECONDS + MARGIN_SECONDS) == 0
        assert time.monotonic() - began < STOP_SECONDS + MARGIN_SECONDS
        portal.kill()
    portal.start()
    found = [expect(200, api.get(f"/uploads/sessions/{session['session_id']}")) for session in (good, stuck)]
    assert [session["received_parts"] for session in found] == [[[1, 1]], []]
    for session in (good, stuck):
        expect(200, api.put_part(session, 1, bytes(CHUNK)))  # the same again, and the one that was cut off
        assert expect(200, api.finalize(session))["status"] == "STORED"


class Rotation:
    """The servers that new requests go to, as a balancer has them."""

    def __init__(self, servers):
        self.lock, self.servers = threading.Lock(), list(servers)

    def pick(self, number):
        """Return one of them."""
        with self.lock:
            return self.servers[number % len(self.servers)]

    def leave(self, server):
        """Send nothing new to a server."""
        with self.lock:
            self.servers.remove(server)

    def join(self, server):
        """Send to it again."""
        with self.lock:
            self.servers.append(server)


class Sender(threading.Thread):
    """Stores files, one after the other, by servers in rotation; tries again only where no connection was made."""

    def __init__(self, rotation, token, stop, number):
        super().__init__()
        self.rotation, self.token, self.stop, self.number = rotation, token, stop, number
        self.stored, self.faults = 0, []

    def call(self, method, path, **options):
        """Send one request on a connection of its own."""
        server = self.rotation.pick(self.number + self.stored)
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        return requests.request(method, server.url + path, headers=headers, timeout=60, **options)

    def run(self):
        """Store until a stop is asked for."""
        while not self.stop.is_set() and not self.faults:
            data = pattern(2 * CHUNK, self.number * 1000 + self.stored)
            try:
                self.store(data)
            except (requests.RequestException, AssertionError) as fault:
                self.faults.append(fault)
            self.stored += 1

    def store(self, data):
        """Store one file in two parts."""
        fields = {"original_filename": "a.bin", "total_size_bytes": len(data), "chunk_size_bytes": CHUNK}
        path = f"/uploads/sessions/{expect(201, self.call('POST', '/uploads/sessions', json=fields))['session_id']}"
        for number in (1, 2):
            expect(200, self.call("PUT", f"{path}/parts/{number}", data=data[(number - 1) * CHUNK : number * CHUNK]))
        assert expect(200, self.call("POST", f"{path}/finalize"))["status"] == "STORED"


def test_a_rolling_restart_under_load_loses_no_request(portal):
    other = LiveServer(portal.data_dir, database_url=portal.database_url)
    other.start()
    servers, stop = [portal, other], threading.Event()
    rotation, token = Rotation(servers), portal.create_token("ann")
    senders = [Sender(rotation, token, stop, number) for number in range(CLIENTS)]
    for sender in senders:
        sender.start()
    try:
        for server in servers * (3 if FULL else 1):
            rotation.leave(server)
            time.sleep(0.5)  # who has picked it has connected by then
            [process] = server.processes
            process.terminate()
            assert process.wait(STOP_SECONDS + MARGIN_SECONDS) == 0
            server.kill()
            server.start()
            rotation.join(server)
    finally:
        stop.set()
        for sender in senders:
            sender.join()
        other.stop()
    assert [sender.faults for sender in senders] == [[]] * CLIENTS
    stored = sum(sender.stored for sender in senders)
    assert stored >= CLIENTS

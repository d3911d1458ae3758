"""The portal's calls as the measurements make them."""

import random
import time

import orjson

from benchmarks.client import SECONDS, ask, run_all
from tests.raw import RawClient


class PortalApi:
    """Calls of one caller; parts are sent over several connections at once."""

    def __init__(self, portal):
        self.url, self.token = portal.url, portal.token

    def call(self, method, path, members=None, *, expected=(200, 201, 202, 204)):
        """Send one JSON request on a connection of its own and return `(status, members)`."""
        body = b"" if members is None else orjson.dumps(members)
        with RawClient(self.url, token=self.token, seconds=SECONDS) as client:
            answer = ask(client, method, path, "Content-Type: application/json", body=body, expected=expected)
        return answer.status, orjson.loads(answer.body) if answer.body else None

    def get(self, path):
        """GET."""
        return self.call("GET", path)[1]

    def download(self, path):
        """Return the bytes of a file."""
        with RawClient(self.url, token=self.token, seconds=SECONDS) as client:
            return ask(client, "GET", path).body

    def delete(self, path):
        """DELETE."""
        return self.call("DELETE", path)[1]

    def make_batch(self, **fields):
        """Return a new batch."""
        return self.call("POST", "/batches", fields)[1]

    def open_session(self, size, **fields):
        """Return a new session."""
        fields = {"original_filename": "bench.bin", "total_size_bytes": size} | fields
        return self.call("POST", "/uploads/sessions", fields)[1]

    def put_parts(self, session, numbers, body, *, connections, shuffled=False):
        """Send `body` as each of the parts `numbers`."""
        numbers = list(numbers)
        if shuffled:
            random.Random(2).shuffle(numbers)  # noqa: S311 - an order, no secret
        target = f"/uploads/sessions/{session['session_id']}/parts/"
        jobs = [lambda client, n=n: ask(client, "PUT", f"{target}{n}", body=body) for n in numbers]
        run_all(self.url, jobs, connections=connections, token=self.token)

    def finalize(self, session):
        """Finalize until the file is STORED, and return it."""
        while True:
            status, members = self.call("POST", f"/uploads/sessions/{session['session_id']}/finalize")
            if status == 200:
                return members
            time.sleep(0.02)

"""The portal over HTTP, as a client sees it: one object for one token."""

import requests

from tests.samples import CHUNK


class Api:
    """Calls of one caller on one server; `token` None is nobody. Answers are `requests` responses."""

    def __init__(self, url, token=None):
        self.url, self.token = url, token
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method, path, *, headers=None, **options):
        """Send one request; `path` begins with `/`."""
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        options.setdefault("timeout", 60)
        return self.session.request(method, self.url + path, headers=headers, **options)

    def get(self, path, **options):
        """GET."""
        return self.call("GET", path, **options)

    def post(self, path, json=None, **options):
        """POST; a body is JSON."""
        return self.call("POST", path, json=json, **options)

    def put(self, path, data, **options):
        """PUT raw bytes."""
        return self.call("PUT", path, data=data, **options)

    def delete(self, path, **options):
        """DELETE."""
        return self.call("DELETE", path, **options)

    def make_batch(self, **fields):
        """Return the members of a new batch."""
        return expect(201, self.post("/batches", fields))

    def open_session(self, size, **fields):
        """Return the members of a new session; chunks are 64 KiB unless another wish is given."""
        fields = {"original_filename": "a.bin", "total_size_bytes": size, "chunk_size_bytes": CHUNK} | fields
        return expect(201, self.post("/uploads/sessions", fields))

    def put_part(self, session, number, data, **options):
        """Send one part of a session given by its members; return the response."""
        return self.put(f"/uploads/sessions/{session['session_id']}/parts/{number}", data, **options)

    def put_parts(self, session, data):
        """Send all parts of `data`, in order."""
        chunk = session["chunk_size_bytes"]
        for number in range(1, session["total_parts"] + 1):
            expect(200, self.put_part(session, number, data[(number - 1) * chunk : number * chunk]))

    def finalize(self, session):
        """Finalize a session given by its members; return the response."""
        return self.post(f"/uploads/sessions/{session['session_id']}/finalize")

    def store(self, data, **fields):
        """Return the members of a file stored with these bytes."""
        session = self.open_session(len(data), **fields)
        self.put_parts(session, data)
        return expect(200, self.finalize(session))


def expect(status, response):
    """Return the members of an answer with this status; fails with its body otherwise."""
    assert response.status_code == status, f"{response.status_code}: {response.text[:2000]}"
    return response.json() if response.content else None

"""One upload to test the byte door with: a session, its bytes, and whether anything of it was recorded."""

import orjson

from tests.api import expect
from tests.samples import CHUNK, pattern


class Upload:
    """A session of `api`'s caller for `size` bytes, two whole parts and ten bytes by default."""

    def __init__(self, api, size=2 * CHUNK + 10, **fields):
        self.api = api
        self.data = pattern(size)
        self.session = api.open_session(size, **fields)
        self.path = f"/uploads/sessions/{self.session['session_id']}"

    def target(self, number=1):
        """Return the path of a part."""
        return f"{self.path}/parts/{number}"

    def part(self, number=1):
        """Return the bytes of a part."""
        chunk = self.session["chunk_size_bytes"]
        return self.data[(number - 1) * chunk : number * chunk]

    def put(self, number=1, data=None, **options):
        """Send a part as an ordinary client does."""
        return self.api.put(self.target(number), self.part(number) if data is None else data, **options)

    def listing(self):
        """Return the session as the portal shows it now."""
        return expect(200, self.api.get(self.path))

    def untouched(self):
        """Return True when nothing at all has happened to the session since it was opened."""
        return self.listing() == self.session

    def finish(self):
        """Send what is missing and finalize; return the bytes that were stored."""
        for first, last in self.listing()["missing_parts"]:
            for number in range(first, last + 1):
                expect(200, self.put(number))
        file = expect(200, self.api.finalize(self.session))
        return self.api.get(f"/files/{file['id']}/content").content


def problem(answer):
    """Return `(status, code)` of a refusal, either client's; fails unless it is a whole problem of RFC 9457."""
    status = getattr(answer, "status", None) or answer.status_code
    kind = answer.header("content-type") if hasattr(answer, "header") else answer.headers["Content-Type"]
    assert kind == "application/problem+json"
    members = read_json(answer)
    assert members["status"] == status
    assert {"type", "title", "detail"} <= set(members)
    return status, members["code"]


def read_json(answer):
    """Return the members of an answer's body, either client's."""
    return orjson.loads(answer.body if hasattr(answer, "body") else answer.content)

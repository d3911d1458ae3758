"""From nothing to a stored file, and the three batch endpoints, with real curl at the portal of `make run`."""

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass

import pytest

from tests.needs import need_tool
from tests.samples import CHUNK, pattern
from tests.views.shapes import BATCH, FILE, NOBODY, PAGE, SESSION

JSON = ["-H", "Content-Type: application/json"]


@dataclass(frozen=True)
class Answer:
    """What curl got: the status, the headers by their lower-case names, the body."""

    status: int
    headers: dict
    body: bytes

    @property
    def members(self):
        """The body as JSON."""
        return json.loads(self.body)


class Curl:
    """curl with a token, at one portal; arguments are as on the command line."""

    def __init__(self, program, folder, url, token):
        self.program, self.folder, self.url, self.token = program, folder, url, token

    def __call__(self, path, *arguments, token=True, data=None):
        """Return the Answer to one call; `data` is what is piped into it."""
        known = ["-H", f"Authorization: Bearer {self.token}"] if token else []
        seen = self.folder / "headers"
        # -q: whatever stands in somebody's .curlrc is not for us.
        command = [self.program, "-q", "-sS", "--noproxy", "*", "-D", seen, "-m", "60", *known, *arguments]
        done = subprocess.run([*command, self.url + path], input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        # After `100 Continue` come the headers of the answer itself.
        status, *lines = seen.read_text().strip().split("\n\n")[-1].splitlines()
        pairs = (line.split(": ", 1) for line in lines)
        return Answer(int(status.split()[1]), {name.lower(): value for name, value in pairs}, done.stdout)

    def post(self, path, body, *arguments):
        """POST an object as JSON."""
        return self(path, *JSON, *arguments, "-d", json.dumps(body))


@pytest.fixture(scope="module")
def curl(words, tmp_path_factory):
    """Curl with the address and the token that were printed."""
    program = need_tool("curl")
    url = re.search(r"answers at (\S+)", words).group(1)
    token = re.search(r"Token +(\S+)", words).group(1)
    return Curl(program, tmp_path_factory.mktemp("curl"), url, token)


def make_batch(curl, **fields):
    """Return the members of a new batch."""
    answer = curl.post("/batches", fields)
    assert answer.status == 201
    return answer.members


def store(curl, data, **fields):
    """Store a file in parts of 64 KiB, as a person would; return its members."""
    described = {"original_filename": "a.bin", "total_size_bytes": len(data), "chunk_size_bytes": CHUNK} | fields
    answer = curl.post("/uploads/sessions", described)
    assert answer.status == 201
    assert set(answer.members) == SESSION
    session = f"/uploads/sessions/{answer.members['session_id']}"
    for number in range(1, answer.members["total_parts"] + 1):
        piece = data[(number - 1) * CHUNK : number * CHUNK]
        answer = curl(f"{session}/parts/{number}", "-X", "PUT", "--data-binary", "@-", data=piece)
        assert (answer.status, answer.members["size_bytes"]) == (200, len(piece))
    answer = curl(f"{session}/finalize", "-X", "POST")
    assert answer.status == 200
    return answer.members


def test_post_batches_makes_a_batch_and_says_where(curl):
    answer = curl.post("/batches", {"name": "März", "expected_files": 2, "metadata": {"from": "curl"}})
    assert answer.status == 201
    batch = answer.members
    assert set(batch) == BATCH
    assert (batch["name"], batch["status"], batch["expected_files"]) == ("März", "INIT", 2)
    assert answer.headers["location"] == f"/batches/{batch['id']}"
    assert answer.headers["content-type"] == "application/json"
    assert curl(answer.headers["location"]).members == batch


def test_post_batches_again_with_its_key_makes_no_second(curl):
    again = ["-H", "Idempotency-Key: curl-1"]
    first, second = (curl.post("/batches", {"name": "once"}, *again) for _ in range(2))
    assert (first.status, second.status) == (201, 200)
    assert second.members == first.members
    assert second.headers["idempotent-replayed"] == "true"


def test_get_batch_counts_what_came(curl):
    batch = make_batch(curl, expected_files=2)
    store(curl, b"one", batch_id=batch["id"])
    shown = curl(f"/batches/{batch['id']}").members
    assert (shown["status"], shown["stored_count"], shown["stored_bytes"]) == ("IN_PROGRESS", 1, 3)
    store(curl, b"three", batch_id=batch["id"])
    shown = curl(f"/batches/{batch['id']}").members
    assert (shown["status"], shown["total_files"], shown["stored_count"]) == ("COMPLETE", 2, 2)
    assert (shown["pending_count"], shown["failed_count"], shown["stored_bytes"]) == (0, 0, 8)
    assert shown["completed_at"]


def test_get_batch_files_lists_them_page_by_page_and_by_path(curl):
    batch = make_batch(curl)
    files = [store(curl, b"x", batch_id=batch["id"], path=path) for path in ("b/1", "a/2", "a/1")]
    path = f"/batches/{batch['id']}/files"
    assert curl(path).members == {"next": None, "previous": None, "results": files}
    first = curl(f"{path}?limit=2").members
    assert set(first) == PAGE
    second = curl(first["next"].removeprefix(curl.url)).members
    assert first["results"] + second["results"] == files
    by_path = curl(path, "-G", "--data-urlencode", "path_prefix=a/", "--data-urlencode", "status=STORED").members
    assert by_path["results"] == [files[2], files[1]]


def test_the_way_from_nothing_to_a_stored_file_and_back(curl, tmp_path):
    data = pattern(3 * CHUNK + 17)
    file = store(curl, data, original_filename="Übung 1.bin", sha256=hashlib.sha256(data).hexdigest())
    assert set(file) == FILE
    assert (file["status"], file["size_bytes"]) == ("STORED", len(data))
    path = f"/files/{file['id']}/content"
    answer = curl(path)
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    assert "filename*=utf-8''%C3%9Cbung%201.bin" in answer.headers["content-disposition"]
    assert curl(path, "-r", "10-19").body == data[10:20]
    assert curl(path, "-I").headers["content-length"] == str(len(data))
    # A download that broke off goes on where it was.
    copy = tmp_path / "copy.bin"
    copy.write_bytes(data[:100_000])
    curl(path, "-C", "-", "-o", copy)
    assert copy.read_bytes() == data


def test_a_file_from_the_disk_goes_up_with_t_whatever_is_sent_first(curl, tmp_path):
    data = pattern(2 * 2**20)  # over 1 MiB curl waits for 100 Continue
    (tmp_path / "a.bin").write_bytes(data)
    session = curl.post(
        "/uploads/sessions",
        {"original_filename": "a.bin", "total_size_bytes": len(data), "chunk_size_bytes": len(data)},
    ).members
    path = f"/uploads/sessions/{session['session_id']}"
    assert curl(f"{path}/parts/1", "-T", tmp_path / "a.bin").status == 200
    assert curl(f"{path}/parts/1", "-T", tmp_path / "a.bin").status == 200
    assert curl(path).members["received_parts"] == [[1, 1]]
    assert curl(f"{path}/finalize", "-X", "POST").members["sha256"] == hashlib.sha256(data).hexdigest()
    (tmp_path / "a.bin").write_bytes(pattern(len(data), seed=1))
    answer = curl(f"{path}/parts/1", "-T", tmp_path / "a.bin")
    assert (answer.status, answer.members["code"]) == (409, "session_closed")


def test_what_curl_does_by_itself_is_answered_with_what_to_do(curl):
    session = curl.post("/uploads/sessions", {"original_filename": "a", "total_size_bytes": 3}).members
    part = f"/uploads/sessions/{session['session_id']}/parts/1"
    piped = curl(part, "-T", "-", data=b"abc")
    assert (piped.status, piped.members["code"]) == (411, "length_required")
    form = curl("/batches", "-d", '{"name": "a form"}')
    assert (form.status, form.members["code"]) == (415, "unsupported_media_type")
    short = curl(part, "-X", "PUT", "--data-binary", "ab")
    assert (short.status, short.members["code"], short.members["expected_size_bytes"]) == (400, "wrong_part_size", 3)
    missing = curl(f"/uploads/sessions/{session['session_id']}/finalize", "-X", "POST")
    assert (missing.status, missing.members["missing_parts"]) == (400, [[1, 1]])


def test_nobody_gets_nothing(curl):
    for path in ("/batches", f"/batches/{NOBODY}", f"/batches/{NOBODY}/files"):
        answer = curl(path, token=False)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
    for path in (f"/batches/{NOBODY}", f"/batches/{NOBODY}/files"):
        assert curl(path).status == 404


def test_delete_takes_a_file_back(curl):
    file = store(curl, b"x")
    assert curl(f"/files/{file['id']}", "-X", "DELETE").status == 204
    assert curl(f"/files/{file['id']}").status == 404

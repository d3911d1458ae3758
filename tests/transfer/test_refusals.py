"""An early refusal: an ordinary client sees its status, nothing reaches the disk, and nobody reads on for ever."""

import http.client
import subprocess
import time
from pathlib import Path

import pytest

from tests.samples import CHUNK, pattern
from tests.transfer.uploads import problem

LENGTH = f"Content-Length: {CHUNK}"
#: One chunk as the portal sends it by default: what it reads of a refused body at most.
DRAINED = 8 * 2**20


def send_whole(server, target, body, headers):
    """Send a request with Python's own client, which sends all before it looks for an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("PUT", target, body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(("token", "status"), [("none", 401), ("bob", 404), ("ann", 400)])
def test_an_ordinary_client_with_8_mib_sees_the_status(portal_server, upload, ann_api, bob_api, token, status):
    tokens = {"none": "no such token", "ann": ann_api.token, "bob": bob_api.token}
    headers = {"Authorization": f"Bearer {tokens[token]}"}
    for _ in range(5):
        assert send_whole(portal_server, upload.target(), bytes(DRAINED), headers) == status
    assert upload.untouched()


@pytest.mark.parametrize("options", [[], ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"]])
def test_curl_with_8_mib_sees_the_status(portal_server, upload, tmp_path, need, options):
    (tmp_path / "body").write_bytes(bytes(DRAINED))
    command = [need("curl"), "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-T", tmp_path / "body", *options]
    done = subprocess.run([*command, portal_server.url + upload.target()], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "401", "")


def bytes_on_disk(server):
    """Return what the storage holds, by allocated blocks: a hole that was written to shows."""
    paths = Path(server.data_dir, "storage").rglob("*")
    return {path: path.stat().st_blocks for path in paths if path.is_file()}


def test_nothing_of_a_refused_body_reaches_the_disk(portal_server, upload, ann_api, bob_api):
    before = bytes_on_disk(portal_server)
    for token in (None, ann_api.token, bob_api.token):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert send_whole(portal_server, upload.target(), b"x" * (CHUNK + 1), headers) in (401, 404, 400)
    assert bytes_on_disk(portal_server) == before


def test_a_body_without_end_is_not_read_to_its_end(upload, connect):
    client = connect(token=None)
    client.send(client.head("PUT", upload.target(), f"Content-Length: {2**40}"))
    # Buffers of both kernels hold some more than was read.
    assert bytes_taken(client, at_most=8 * DRAINED) <= 4 * DRAINED


def bytes_taken(client, at_most):
    """Send until the server has had enough; return how much it let us send."""
    for sent in range(0, at_most, 2**20):
        try:
            client.send(bytes(2**20))
        except ConnectionError:
            return sent
    return at_most


def test_a_refused_client_that_drips_is_left_after_two_seconds(upload, connect):
    client = connect(token=None)
    client.send(client.head("PUT", upload.target(), LENGTH) + b"x")
    assert problem(client.answer()) == (401, "not_authenticated")
    began = time.monotonic()
    assert client.closed_by_server()
    assert time.monotonic() - began < 4


def test_a_connection_goes_on_after_a_refusal_whose_body_was_read(upload, connect):
    upload.put()
    client = connect()
    other = pattern(CHUNK, seed="other")
    assert problem(client.ask("PUT", upload.target(1), LENGTH, body=other)) == (409, "part_conflict")
    digest = "Content-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
    assert problem(client.ask("PUT", upload.target(2), LENGTH, digest, body=other)) == (400, "digest_mismatch")
    assert problem(client.ask("PUT", upload.target(2))) == (411, "length_required")
    assert problem(client.ask("PUT", "/nowhere", LENGTH, body=other)) == (404, "not_found")
    assert client.ask("PUT", upload.target(2), LENGTH, body=upload.part(2)).status == 200


def test_a_connection_with_body_left_over_is_closed(upload, connect):
    client = connect()
    answer = client.ask("PUT", upload.target(9), LENGTH, body=upload.part())
    assert problem(answer) == (400, "part_out_of_range")
    assert answer.header("connection") == "close"
    assert client.closed_by_server()

"""`Expect: 100-continue`: the body is asked for only when everything that can be known before it is right."""

import pytest

from tests.api import expect
from tests.samples import CHUNK, pattern
from tests.transfer.uploads import Upload, problem

EXPECT = "Expect: 100-continue"
LENGTH = f"Content-Length: {CHUNK}"


def test_the_body_is_asked_for_and_stored(upload, connect):
    client = connect()
    assert client.ask("PUT", upload.target(), LENGTH, EXPECT).status == 100
    client.send(upload.part())
    assert client.answer().status == 200
    assert upload.listing()["received_parts"] == [[1, 1]]


def test_the_body_of_a_recorded_part_is_asked_for_and_compared(upload, connect):
    upload.put()
    client = connect()
    assert client.ask("PUT", upload.target(), LENGTH, EXPECT).status == 100
    client.send(pattern(CHUNK, seed="other"))
    assert problem(client.answer()) == (409, "part_conflict")


@pytest.mark.parametrize(
    ("number", "lines", "refusal"),
    [
        (1, ["Content-Length: 7"], (400, "wrong_part_size")),
        (0, [LENGTH], (400, "part_out_of_range")),
        (4, [LENGTH], (400, "part_out_of_range")),
        (1, [LENGTH, "Content-Digest: sha-256=broken"], (400, "invalid")),
        (1, [LENGTH, "Host: evil.example"], (400, "invalid_host")),
        (1, ["Transfer-Encoding: chunked"], (411, "length_required")),
    ],
)
def test_a_wrong_request_gets_its_status_and_no_100(upload, connect, number, lines, refusal):
    assert_refused_unread(connect(), upload.target(number), lines, refusal)
    assert upload.untouched()


def test_a_stranger_gets_404_and_no_100(upload, connect, bob_api):
    assert_refused_unread(connect(token=bob_api.token), upload.target(), [LENGTH], (404, "not_found"))


def test_nobody_gets_401_and_no_100(upload, connect):
    assert_refused_unread(connect(token=None), upload.target(), [LENGTH], (401, "not_authenticated"))


def test_a_token_without_the_scope_gets_403_and_no_100(upload, connect, portal_server):
    token = portal_server.create_token("ann", "--scope", "read")
    assert_refused_unread(connect(token=token), upload.target(), [LENGTH], (403, "insufficient_scope"))


def test_a_closed_session_gets_409_and_no_100(ann_api, connect):
    upload = Upload(ann_api)
    expect(204, ann_api.delete(upload.path))
    assert_refused_unread(connect(), upload.target(), [LENGTH], (409, "session_closed"))


def assert_refused_unread(client, target, lines, refusal):
    """The final status is the first thing that comes, and the connection ends without a wait for the body."""
    answer = client.ask("PUT", target, *lines, EXPECT)
    assert problem(answer) == refusal
    assert answer.header("connection") == "close"
    client.socket.settimeout(1)
    assert client.closed_by_server()

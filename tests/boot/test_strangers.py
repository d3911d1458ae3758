"""A long body at Django's door is taken only of those who are known, so that strangers cannot fill the room of all."""

import pytest

from boot.wsgi_bridge import STRANGER_BYTES
from tests.api import Api, expect
from tests.raw import RawClient

CHUNKED = "Transfer-Encoding: chunked"


def long_body(*, size=STRANGER_BYTES + 100):
    """Return a JSON body for a new batch of about so many bytes."""
    return b'{"name": "long"' + b" " * size + b"}"


@pytest.mark.parametrize("token", [None, "no-token"])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_the_long_body_of_a_stranger_is_refused_before_it_has_come_whole(portal_server, token, framing):
    with RawClient(portal_server.url, token=token) as client:
        length = f"Content-Length: {2**20}" if framing == "sized" else CHUNKED
        body = bytes(STRANGER_BYTES + 1)
        framed = body if framing == "sized" else b"%x\r\n%b\r\n" % (len(body), body)
        client.send(client.head("POST", "/batches", length, "Content-Type: application/json") + framed)
        answer = client.answer("POST")
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    assert answer.header("connection") == "close"


def test_the_short_body_of_a_stranger_gets_the_answer_of_its_endpoint(portal_server):
    answer = Api(portal_server.url).post("/batches", json={"name": "x" * 1000})
    assert answer.json()["code"] == "not_authenticated"


def test_the_long_body_of_somebody_known_is_taken(ann_api):
    headers = {"Content-Type": "application/json"}
    expect(201, ann_api.call("POST", "/batches", data=long_body(), headers=headers))
    chunks = iter([long_body(size=2**20)])
    expect(201, ann_api.call("POST", "/batches", data=chunks, headers=headers))

"""Who gets through the byte door: tokens, scopes, owners and hosts."""

import uuid

import pytest

from tests.api import Api
from tests.samples import CHUNK
from tests.transfer.uploads import problem, read_json

LENGTH = f"Content-Length: {CHUNK}"
HEADERS_OF_NOBODY = [
    [],
    ["Authorization: Bearer"],
    ["Authorization: Bearer "],
    ["Authorization: Bearer ptl_unknown"],
    ["Authorization: Bearer a b"],
    ["Authorization: Bearer é"],
    ["Authorization: Basic YW5uOmFubg=="],
    ["Authorization: Token ptl_unknown"],
    ["Authorization: Bearer ptl_one", "Authorization: Bearer ptl_two"],
    ["Cookie: sessionid=unknown"],
    ["Cookie: sessionid=é"],
    ['Cookie: sessionid="' + "\\000" * 8 + '"'],
    ['Cookie: sessionid="' + "\\377" * 8 + '"'],
    ["Cookie: sessionid=" + "a" * 5000],
    ["Cookie: sessionid=../../../etc/passwd"],
]


@pytest.fixture(scope="module")
def content(ann_api):
    """The path of a stored file's bytes."""
    return f"/files/{ann_api.store(b'bytes')['id']}/content"


@pytest.mark.parametrize("lines", HEADERS_OF_NOBODY)
def test_nobody_is_told_to_authenticate(upload, connect, content, lines):
    for method, target in [("PUT", upload.target()), ("GET", content), ("GET", "/limits")]:
        answer = connect(token=None).ask(method, target, *lines, "Content-Length: 0")
        assert problem(answer) == (401, "not_authenticated")
        assert answer.header("www-authenticate").startswith("Bearer")
    assert upload.untouched()


def test_a_revoked_token_is_nobody(portal_server, upload, content):
    token = portal_server.create_token("ann")
    api = Api(portal_server.url, token)
    assert api.get(content).status_code == 200
    portal_server.command("revoke_token", token)
    assert problem(api.get(content)) == (401, "not_authenticated")
    assert problem(api.put(upload.target(), upload.part())) == (401, "not_authenticated")


@pytest.mark.parametrize("scope", ["read", "delete", "service"])
def test_a_part_needs_the_scope_upload(portal_server, upload, scope):
    api = Api(portal_server.url, portal_server.create_token("ann", "--scope", scope))
    assert problem(api.put(upload.target(), upload.part())) == (403, "insufficient_scope")
    assert upload.untouched()


@pytest.mark.parametrize("scope", ["upload", "delete"])
def test_content_needs_the_scope_read(portal_server, content, scope):
    api = Api(portal_server.url, portal_server.create_token("ann", "--scope", scope))
    assert problem(api.get(content)) == (403, "insufficient_scope")


def test_service_reads_everybodys_content(portal_server, content):
    api = Api(portal_server.url, portal_server.create_token("runner", "--scope", "service"))
    assert api.get(content).content == b"bytes"


def test_a_stranger_hears_what_there_is_to_hear_of_nothing(upload, bob_api, content):
    """The same status, body and headers, whatever else is wrong with the request."""
    nowhere = str(uuid.uuid4())
    for lines in ({}, {"Content-Length": "7"}, {"Content-Digest": "sha-256=broken"}, {"Range": "bytes=99-"}):
        for method, path in [("PUT", upload.target(1)), ("PUT", upload.target(99)), ("GET", content)]:
            body = upload.part() if method == "PUT" else None
            ids = path.split("/")[3 if method == "PUT" else 2]
            theirs = bob_api.call(method, path, data=body, headers=lines)
            nothing = bob_api.call(method, path.replace(ids, nowhere), data=body, headers=lines)
            assert problem(theirs) == (404, "not_found")
            assert theirs.content == nothing.content
            assert set(theirs.headers) == set(nothing.headers)


@pytest.mark.parametrize("bad_id", ["x", "0", "00000000-0000-0000-0000-00000000000g", "%00", "ALL", "../" * 5])
def test_an_id_that_is_none_is_not_found(ann_api, bad_id):
    assert problem(ann_api.get(f"/files/{bad_id}/content")) == (404, "not_found")
    assert problem(ann_api.put(f"/uploads/sessions/{bad_id}/parts/1", b"x")) == (404, "not_found")


def test_a_host_that_is_not_allowed_is_refused_before_anything_else(upload, connect, content):
    for method, target in [("PUT", upload.target()), ("GET", content), ("DELETE", content), ("GET", "/limits")]:
        client = connect(token=None)
        client.host = "evil.example"
        answer = client.ask(method, target, "Content-Length: 0")
        assert problem(answer) == (400, "invalid_host")
        assert "evil" not in str(answer.headers) + str(read_json(answer))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8000"])
def test_an_allowed_host_is_taken_with_any_port(connect, content, host):
    client = connect()
    client.host = host
    assert client.ask("GET", content).status == 200


def test_a_request_without_a_host_is_refused(ann_api, connect, content):
    client = connect()
    client.send(f"GET {content} HTTP/1.1\r\nAuthorization: Bearer {ann_api.token}\r\n\r\n".encode())
    assert client.answer().status == 400

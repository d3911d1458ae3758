"""Requests that no well-behaved client writes: each is answered or cut off, and the portal goes on."""

import pytest

from tests.samples import CHUNK
from tests.transfer.uploads import problem, read_json

LENGTH = f"Content-Length: {CHUNK}"


@pytest.fixture
def put(upload, connect):
    """Send part 1 with the target, the method and further lines as given; return the answer."""

    def send(target=None, *lines, method="PUT", version="HTTP/1.1"):
        return connect().ask(method, target or upload.target(), LENGTH, *lines, body=upload.part(), version=version)

    return send


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"PUT\r\n\r\n",
        b"PUT / HTTP/9.9\r\n\r\n",
        b"PUT /a b/c HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 600,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n folded\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"X-A: a\r\n" * 1000 + b"\r\n",
    ],
)
def test_garbage_is_refused_and_the_connection_closed(connect, garbage):
    client = connect()
    client.send(garbage)
    came = client.rest()
    assert came == b"" or came.startswith(b"HTTP/1.1 4")
    assert connect().ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("method", ["put", "Put", "POST", "PATCH", "DELETE", "GET", "HEAD", "TRACE", "BREW"])
def test_another_method_is_refused_with_the_one_there_is(upload, put, method):
    answer = put(method=method)
    assert answer.status == 405
    assert answer.header("allow") == "PUT"
    if method != "HEAD":
        assert problem(answer) == (405, "method_not_allowed")
    assert upload.untouched()


def test_an_http_1_0_client_stores_a_part(upload, put):
    assert put(version="HTTP/1.0").status == 200
    assert upload.listing()["received_parts"] == [[1, 1]]


def test_pipelined_requests_are_answered_in_order(upload, connect):
    client = connect()
    parts = [client.head("PUT", upload.target(n), LENGTH) + upload.part(n) for n in (2, 1, 2)]
    client.send(b"".join(parts) + client.head("GET", upload.path))
    answers = [client.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200] * 4
    assert [read_json(answer)["part_number"] for answer in answers[:3]] == [2, 1, 2]
    assert read_json(answers[3])["received_parts"] == [[1, 2]]


def test_a_target_in_absolute_form_is_the_same_target(portal_server, upload, put):
    assert put(portal_server.url + upload.target()).status == 200
    assert upload.listing()["received_parts"] == [[1, 1]]


@pytest.mark.parametrize("query", ["?", "?part=2", "?x=%00&y[]=\xff"])
def test_a_query_changes_nothing(upload, put, query):
    assert put(upload.target() + query).status == 200
    assert upload.listing()["received_parts"] == [[1, 1]]


def test_an_escaped_path_is_the_path(upload, put):
    assert put(upload.target().replace("uploads", "%75ploads").replace("parts/1", "par%74s/%31")).status == 200
    assert upload.listing()["received_parts"] == [[1, 1]]


@pytest.mark.parametrize(
    "end", ["1/", "1%2f..%2f2", "../parts/1", "1;v=2", "1%00", "1%0a", "%d9%a1", "%ff", "1%20", "one", ""]
)
def test_a_path_that_only_looks_like_a_part_is_not_found(upload, put, end):
    answer = put(f"{upload.path}/parts/{end}")
    # The empty one lacks even the form: Django's list of parts refuses the method or the path.
    assert problem(answer)[0] == 404
    assert upload.untouched()


@pytest.mark.parametrize("line", ["Content-Length-: 1", "Transfer_Encoding: chunked", "Content_Length: 1"])
def test_headers_that_only_look_like_framing_are_not(upload, put, line):
    assert put(None, line).status == 200


@pytest.mark.parametrize("given", ["a b", "a\tb", "x" * 65, "a;b", "<script>", "é", "a%0d%0aX-Evil:1", ""])
def test_a_request_id_that_is_no_plain_word_is_not_given_back(put, given):
    assert put(None, f"X-Request-ID: {given}").header("x-request-id") != given


def test_two_request_ids_are_none(put):
    assert put(None, "X-Request-ID: one", "X-Request-ID: two").header("x-request-id") not in ("one", "two")


@pytest.mark.parametrize(
    "path", ["/a%0d%0aX-Evil:%201", "/files/%0d%0aX-Evil:%201/content", "/docs%0d%0aX-Evil:%201?x"]
)
def test_a_line_break_in_a_path_makes_no_header(connect, path):
    answer = connect().ask("GET", path)
    assert answer.status == 404
    assert answer.header("x-evil") is None


def test_a_header_of_many_kilobytes_does_no_harm(connect):
    assert connect().ask("GET", "/healthz", "X-Long: " + "a" * 60_000).status in (200, 431)

"""One request, one file: stored whole or not at all, whatever the framing, and refused on its headers alone."""

import base64
import hashlib
import subprocess

import pytest

from portal.services.arrivals import SMALL_BYTES
from tests.api import expect
from tests.samples import pattern
from tests.transfer.test_expect import assert_refused_unread
from tests.transfer.uploads import problem, read_json

LARGE = pattern(3 * SMALL_BYTES + 7)
NAMED = {"Content-Disposition": 'attachment; filename="a.txt"'}


@pytest.fixture
def batch(ann_api):
    """The path of a new batch of ann's."""
    return f"/batches/{ann_api.make_batch()['id']}"


def counters(api, batch):
    """Return what the batch counts: files, those stored, their bytes."""
    row = expect(200, api.get(batch))
    return row["total_files"], row["stored_count"], row["stored_bytes"]


def digest(data, algorithm="sha-256"):
    """Return a member of Content-Digest for these bytes."""
    return f"{algorithm}=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


@pytest.mark.parametrize("data", [b"", b"x", LARGE[:SMALL_BYTES], LARGE[: SMALL_BYTES + 1], LARGE])
def test_a_file_is_stored_in_one_request(ann_api, batch, data):
    response = ann_api.put(f"{batch}/files/a/b.txt", data, headers={"Content-Type": "text/plain"})
    file = expect(201, response)
    assert response.headers["Location"] == f"/files/{file['id']}"
    assert (file["status"], file["path"], file["original_filename"]) == ("STORED", "a/b.txt", "b.txt")
    assert (file["content_type"], file["session_id"], file["size_bytes"]) == ("text/plain", None, len(data))
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert file == expect(200, ann_api.get(f"/files/{file['id']}"))
    assert ann_api.get(f"/files/{file['id']}/content").content == data
    assert counters(ann_api, batch) == (1, 1, len(data))


@pytest.mark.parametrize("data", [b"x", LARGE])
def test_again_with_the_same_bytes_is_200_and_with_others_409(ann_api, batch, data):
    first = expect(201, ann_api.put(f"{batch}/files/a", data))
    assert expect(200, ann_api.put(f"{batch}/files/a", data)) == first
    assert expect(200, ann_api.put(f"{batch}/files/a", iter([data]))) == first
    for other in (bytes(len(data)), data + b"!", iter([bytes(len(data))]), b""):
        assert problem(ann_api.put(f"{batch}/files/a", other)) == (409, "path_taken")
    assert counters(ann_api, batch) == (1, 1, len(data))
    assert ann_api.get(f"/files/{first['id']}/content").content == data


def test_a_chunked_body_is_taken(batch, connect):
    client = connect()
    head = client.head("PUT", f"{batch}/files/a", "Transfer-Encoding: chunked")
    client.send(head + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n")
    answer = client.answer()
    assert answer.status == 201
    assert read_json(answer)["sha256"] == hashlib.sha256(b"abcde").hexdigest()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("sent", [b"", b"abc"])
def test_a_body_that_says_nowhere_where_it_ends_changes_nothing(ann_api, batch, connect, version, sent):
    before = expect(200, ann_api.get("/files?batch=none"))
    calls = [
        ("PUT", f"{batch}/files/a", []),
        ("POST", "/files", ["Content-Disposition: attachment; filename=a"]),
        ("POST", f"{batch}/files", ["Content-Type: application/x-tar"]),
        ("PUT", f"{batch}/manifest", []),
    ]
    for method, target, lines in calls:
        answer = connect().ask(method, target, *lines, body=sent, version=f"HTTP/{version}")
        assert problem(answer) == (411, "length_required")
    assert counters(ann_api, batch) == (0, 0, 0)
    assert expect(200, ann_api.get("/files?batch=none")) == before


def test_an_empty_file_has_a_length_of_0_or_a_last_chunk(batch, connect):
    for path, line, body in (("a", "Content-Length: 0", b""), ("b", "Transfer-Encoding: chunked", b"0\r\n\r\n")):
        answer = connect().ask("PUT", f"{batch}/files/{path}", line, body=body)
        assert (answer.status, read_json(answer)["size_bytes"]) == (201, 0)


@pytest.mark.parametrize("end", ["finish_sending", "reset"])
@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        ("Transfer-Encoding: chunked", b"5\r\nabcde\r\n"),
        ("Transfer-Encoding: chunked", b"5\r\nabc"),
        ("Transfer-Encoding: chunked", b"5\r\nabcde\r\n0\r\n"),
        ("Transfer-Encoding: chunked", b"zz\r\nabcde\r\n0\r\n\r\n"),
        ("Content-Length: 6", b"abcde"),
        (f"Content-Length: {len(LARGE) + 1}", LARGE),
    ],
)
def test_a_body_that_breaks_off_stores_nothing(ann_api, batch, connect, framing, sent, end):
    client = connect()
    client.send(client.head("PUT", f"{batch}/files/a", framing) + sent)
    getattr(client, end)()
    if end == "finish_sending":
        assert client.rest().split(b" ")[1:2] in ([], [b"400"])
    assert expect(201, ann_api.put(f"{batch}/files/b", b"x"))
    assert counters(ann_api, batch) == (1, 1, 1)
    assert expect(200, ann_api.get(f"{batch}/files"))["results"][0]["path"] == "b"


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
def test_a_digest_is_compared(ann_api, batch, header):
    for data in (b"data", LARGE):
        wrong = {header: f"md5=:AAAA:, {digest(b'else')}"}
        assert problem(ann_api.put(f"{batch}/files/a", data, headers=wrong)) == (400, "digest_mismatch")
    assert counters(ann_api, batch) == (0, 0, 0)
    expect(201, ann_api.put(f"{batch}/files/a", b"data", headers={header: digest(b"data")}))
    assert problem(ann_api.put(f"{batch}/files/a", b"data", headers={header: digest(b"else")})) == (
        400,
        "digest_mismatch",
    )
    assert problem(ann_api.put(f"{batch}/files/b", b"x", headers={header: "sha-256=broken"})) == (400, "invalid")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("a%20b", "a b"),
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("%C3%A9/%F0%9F%98%80", "é/😀"),
        ("é", "é"),
        ("-rf", "-rf"),
        ("a+b;c=d", "a+b;c=d"),
        ("a%3Fb%23c?query=1", "a?b#c"),
        ("...", "..."),
        ("content", "content"),
        ("a" * 1024, "a" * 1024),
    ],
)
def test_the_path_is_what_follows_decoded_once(batch, connect, raw, path):
    answer = connect().ask("PUT", f"{batch}/files/{raw}", "Content-Length: 1", body=b"x")
    assert answer.status == 201, answer.body
    assert read_json(answer)["path"] == path
    assert read_json(answer)["original_filename"] == path.rpartition("/")[2][-255:]


@pytest.mark.parametrize(
    "raw",
    [
        *("..", "../a", "a/../b", "%2e%2e/a", "a/%2E%2E", ".", "./a", "/a", "a//b", "a/", "%2Fa", "a%2F"),
        *("a%00b", "a%0Ab", "a%7F", "a\\b", "a%5Cb", "%ff", "%ED%A0%80", "a" * 1025, "%C2%85"),
    ],
)
def test_a_bad_path_is_400_for_the_owner_and_404_for_a_stranger(ann_api, bob_api, batch, connect, raw):
    for token, refusal in ((ann_api.token, (400, "invalid")), (bob_api.token, (404, "not_found"))):
        answer = connect(token=token).ask("PUT", f"{batch}/files/{raw}", "Content-Length: 1", body=b"x")
        assert problem(answer) == refusal
    assert counters(ann_api, batch) == (0, 0, 0)


def test_other_methods_on_a_files_path_are_405(ann_api, batch):
    expect(201, ann_api.put(f"{batch}/files/a", b"x"))
    for method in ("GET", "HEAD", "POST", "DELETE", "PATCH"):
        response = ann_api.call(method, f"{batch}/files/a")
        assert (response.status_code, response.headers["Allow"]) == (405, "PUT")


def test_nothing_is_read_for_a_request_that_is_refused(ann_api, bob_api, batch, connect):
    target, length = f"{batch}/files/a", "Content-Length: 5"
    assert_refused_unread(connect(token=None), target, [length], (401, "not_authenticated"))
    assert_refused_unread(connect(token=bob_api.token), target, [length], (404, "not_found"))
    assert_refused_unread(connect(), f"{batch}/files/..", [length], (400, "invalid"))
    assert_refused_unread(connect(), target, [length, "Host: evil.example"], (400, "invalid_host"))
    assert_refused_unread(connect(), target, [length, "Content-Type: a\tb"], (400, "invalid"))
    assert_refused_unread(connect(), target, [length, "Repr-Digest: sha-256=1"], (400, "invalid"))
    limit = ann_api.get("/limits").json()["max_file_size_bytes"]
    assert_refused_unread(connect(), target, [f"Content-Length: {limit + 1}"], (413, "file_too_large"))
    ann_api.open_session(5, batch_id=batch.rpartition("/")[2], path="a")
    assert_refused_unread(connect(), target, [length], (409, "path_taken"))
    expect(201, ann_api.put(f"{batch}/files/b", b"x"))
    assert_refused_unread(connect(), f"{batch}/files/b", [length], (409, "path_taken"))
    expect(200, ann_api.post(f"{batch}/seal", {}))
    assert_refused_unread(connect(), f"{batch}/files/c", [length], (409, "batch_sealed"))


def test_the_body_is_asked_for_when_all_is_right(batch, connect):
    client = connect()
    assert client.ask("PUT", f"{batch}/files/a", "Content-Length: 4", "Expect: 100-continue").status == 100
    client.send(b"data")
    assert client.answer().status == 201


def test_a_file_without_a_batch(ann_api):
    response = ann_api.call("POST", "/files", data=b"data", headers=NAMED | {"Content-Type": "text/plain"})
    file = expect(201, response)
    assert response.headers["Location"] == f"/files/{file['id']}"
    assert (file["batch_id"], file["path"], file["original_filename"]) == (None, None, "a.txt")
    assert ann_api.get(f"/files/{file['id']}/content").content == b"data"
    again = expect(201, ann_api.call("POST", "/files", data=b"data", headers=NAMED))
    assert again["id"] != file["id"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=a.txt", "a.txt"),
        ('attachment; filename="a \\"b\\" c.txt"', 'a "b" c.txt'),
        ("attachment; filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
        ('inline; filename="é.txt"', "é.txt"),
        ('form-data; name="x"; filename="../../etc/passwd"', "../../etc/passwd"),
    ],
)
def test_the_name_is_text_read_from_content_disposition(connect, header, name):
    answer = connect().ask("POST", "/files", f"Content-Disposition: {header}", "Content-Length: 0")
    assert answer.status == 201, answer.body
    assert read_json(answer)["original_filename"] == name


@pytest.mark.parametrize(
    "header",
    [
        "attachment",
        "",
        "attachment; filename=",
        "attachment; filename*=UTF-8''a%0Ab",
        "x; filename*=UTF-8''%FF",
        f"x; filename={'a' * 256}",
    ],
)
def test_a_file_without_a_name_or_with_a_bad_one_is_400(ann_api, connect, header):
    answer = connect().ask("POST", "/files", f"Content-Disposition: {header}", "Content-Length: 0")
    assert problem(answer) == (400, "invalid")
    assert read_json(answer)["errors"][0]["field"] == "original_filename"


def test_a_piece_of_a_file_is_not_stored_as_the_whole(ann_api, connect, batch):
    for method, target in ("PUT", f"{batch}/files/a"), ("POST", "/files"):
        lines = "Content-Range: bytes 0-3/10", "Content-Disposition: attachment; filename=a", "Content-Length: 4"
        assert problem(connect().ask(method, target, *lines, body=b"abcd")) == (400, "invalid")
    assert expect(200, ann_api.get(batch))["total_files"] == 0


def test_an_idempotency_key_makes_one_file(ann_api):
    headers = NAMED | {"Idempotency-Key": f"whole-{id(ann_api)}"}
    first = expect(201, ann_api.call("POST", "/files", data=b"data", headers=headers))
    again = ann_api.call("POST", "/files", data=b"data", headers=headers)
    assert (expect(200, again), again.headers["Idempotent-Replayed"]) == (first, "true")
    for changed in ({"data": b"date"}, {"data": LARGE}, {"headers": headers | {"Content-Type": "a/b"}}):
        response = ann_api.call("POST", "/files", **({"data": b"data", "headers": headers} | changed))
        assert problem(response) == (422, "idempotency_key_reused")
    bad = headers | {"Idempotency-Key": "a" * 256}
    assert problem(ann_api.call("POST", "/files", data=b"data", headers=bad)) == (400, "invalid")


def test_real_curl_stores_a_file_and_a_pipe(ann_api, batch, tmp_path, need):
    (tmp_path / "report 1.pdf").write_bytes(LARGE)
    curl = [need("curl"), "-q", "-sS", "--noproxy", "*", "-f", "-H", f"Authorization: Bearer {ann_api.token}"]
    # With a slash at the end curl adds the file's own name.
    subprocess.run([*curl, "-T", tmp_path / "report 1.pdf", f"{ann_api.url}{batch}/files/"], check=True)
    subprocess.run([*curl, "-T", "-", f"{ann_api.url}{batch}/files/pipe"], input=LARGE, check=True)
    named = ["--data-binary", "@-", "-H", "Content-Disposition: attachment; filename=x"]
    subprocess.run([*curl, *named, f"{ann_api.url}/files"], input=LARGE, check=True)
    listed = {row["path"]: row["sha256"] for row in ann_api.get(f"{batch}/files").json()["results"]}
    assert listed == dict.fromkeys(["report 1.pdf", "pipe"], hashlib.sha256(LARGE).hexdigest())


@pytest.fixture
def count_objects(portal_server):
    """`count_objects()` gives how many objects the server's storage has."""
    objects = portal_server.data_dir / "storage" / "objects"
    return lambda: sum(1 for path in objects.rglob("*") if path.is_file())


def test_no_bytes_are_left_of_what_was_refused(ann_api, batch, count_objects):
    before = count_objects()
    ann_api.put(f"{batch}/files/a", LARGE, headers={"Content-Digest": digest(b"else")})
    expect(201, ann_api.put(f"{batch}/files/a", LARGE))
    expect(200, ann_api.put(f"{batch}/files/a", LARGE))
    ann_api.put(f"{batch}/files/a", iter([LARGE[:-1], b"?"]))
    assert count_objects() == before + 1


def test_no_bytes_are_left_of_the_slower_of_two_with_the_same_bytes(ann_api, batch, connect, count_objects):
    before, slower = count_objects(), connect()
    head = slower.head("PUT", f"{batch}/files/a", f"Content-Length: {len(LARGE)}", "Expect: 100-continue")
    slower.send(head)
    # It has been looked at when the server asks for its body: the path was free.
    assert slower.answer().status == 100
    file = expect(201, ann_api.put(f"{batch}/files/a", LARGE))
    slower.send(LARGE)
    answer = slower.answer()
    assert (answer.status, read_json(answer)["id"]) == (200, file["id"])
    assert count_objects() == before + 1

"""Content goes out: whole, in ranges, conditionally; always an attachment that nobody runs, frames or shares."""

import base64
import hashlib

import pytest

from tests.api import expect
from tests.samples import pattern
from tests.transfer.uploads import Upload, problem

SIZE = 200_000
DATA = pattern(SIZE)
SHA256 = hashlib.sha256(DATA).hexdigest()
TAG = f'"{SHA256}"'


@pytest.fixture(scope="module")
def file(ann_api):
    """A stored file of several parts."""
    return ann_api.store(DATA, original_filename="report.pdf", content_type="text/html")


@pytest.fixture
def get(ann_api, file):
    """GET (or another method of) the file's content with these headers."""

    def call(method="GET", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return ann_api.call(method, f"/files/{file['id']}/content", headers=headers)

    return call


def assert_described(answer):
    """What goes with the bytes goes with every form of them."""
    assert answer.headers["ETag"] == TAG
    assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="report.pdf"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"].replace(" ", "").split(";")
    cache = {word.strip() for word in answer.headers["Cache-Control"].split(",")}
    assert "private" in cache
    assert not cache & {"public", "s-maxage"}


def test_the_whole_file_comes_back(get):
    answer = get()
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["Content-Length"] == str(SIZE)
    # Never the type that the uploader named: a page of theirs must not run on our origin.
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert_described(answer)


def test_head_has_the_headers_alone(get):
    answer = get("HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(SIZE)
    assert_described(answer)


def test_head_knows_no_range(get):
    answer = get("HEAD", Range="bytes=0-0")
    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == str(SIZE)


@pytest.mark.parametrize(
    ("range_", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-199999", 0, SIZE),
        ("bytes=65535-65536", 65535, 65537),
        ("bytes=100-", 100, SIZE),
        ("bytes=199999-", SIZE - 1, SIZE),
        ("bytes=199999-" + "9" * 30, SIZE - 1, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-" + "9" * 30, 0, SIZE),
    ],
)
def test_a_range_comes_back_as_206(get, range_, start, end):
    answer = get(Range=range_)
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(end - start)
    assert_described(answer)


@pytest.mark.parametrize("range_", ["bytes=200000-", "bytes=200000-200001", "bytes=-0", "bytes=" + "9" * 40 + "-"])
def test_a_range_beyond_the_end_is_416(get, range_):
    answer = get(Range=range_)
    assert problem(answer) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "range_", ["bytes=0-1,5-6", "bytes=5-1", "bytes=x", "lines=0-1", "bytes", "", "bytes=" + "0-1," * 5000]
)
def test_several_ranges_and_malformed_ones_give_the_whole_file(get, range_):
    answer = get(Range=range_)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "Content-Range" not in answer.headers


def test_two_range_headers_give_the_whole_file(connect, file):
    answer = connect().ask("GET", f"/files/{file['id']}/content", "Range: bytes=0-1", "Range: bytes=2-3")
    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [(TAG, 206), (f"W/{TAG}", 200), ('"other"', 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200), ("", 200)],
)
def test_if_range_asks_for_the_range_of_this_version_alone(get, if_range, status):
    answer = get(Range="bytes=0-9", If_Range=if_range)
    assert (answer.status_code, len(answer.content)) == (status, 10 if status == 206 else SIZE)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("tags", [TAG, f"W/{TAG}", "*", f'"other", {TAG}'])
def test_if_none_match_is_304_for_these_bytes(get, method, tags):
    answer = get(method, If_None_Match=tags)
    assert (answer.status_code, answer.content) == (304, b"")
    assert_described(answer)


@pytest.mark.parametrize("tags", ['"other"', SHA256, ""])
def test_if_none_match_of_others_gives_the_bytes(get, tags):
    assert get(If_None_Match=tags).content == DATA


@pytest.mark.parametrize("tags", ['"other"', f"W/{TAG}", SHA256, ""])
def test_if_match_of_others_is_412(get, tags):
    assert problem(get(If_Match=tags)) == (412, "precondition_failed")


@pytest.mark.parametrize("tags", [TAG, "*", f'"other", {TAG}'])
def test_if_match_of_these_bytes_gives_them(get, tags):
    assert get(If_Match=tags).content == DATA
    assert get(If_Match=tags, Range="bytes=0-9").content == DATA[:10]


def test_if_match_goes_before_if_none_match_and_that_before_range(get):
    assert get(If_Match='"other"', If_None_Match=TAG, Range="bytes=0-1").status_code == 412
    assert get(If_Match=TAG, If_None_Match=TAG, Range="bytes=999999-").status_code == 304


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_content_takes_get_and_head_alone(get, method):
    answer = get(method)
    assert problem(answer) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_an_empty_file_is_an_empty_answer(ann_api):
    file = ann_api.store(b"")
    path = f"/files/{file['id']}/content"
    answer = ann_api.get(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["ETag"] == f'"{hashlib.sha256().hexdigest()}"'
    assert problem(ann_api.get(path, headers={"Range": "bytes=0-"})) == (416, "range_not_satisfiable")
    assert ann_api.call("HEAD", path).status_code == 200


def test_a_file_that_is_not_stored_has_no_content(upload):
    path = f"/files/{upload.session['file_id']}/content"
    assert problem(upload.api.get(path)) == (409, "file_not_stored")
    expect(204, upload.api.delete(upload.path))
    assert problem(upload.api.get(path)) == (409, "file_not_stored")


def test_a_deleted_file_is_not_found(ann_api):
    file = Upload(ann_api, size=10)
    file.finish()
    path = f"/files/{file.session['file_id']}"
    expect(204, ann_api.delete(path))
    assert problem(ann_api.get(f"{path}/content")) == (404, "not_found")

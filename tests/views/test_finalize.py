"""Finalize and the list of parts over HTTP: one answer however often it is asked for, or the reason why not."""

import hashlib

import pytest
from blake3 import blake3

from tests.api import expect
from tests.samples import CHUNK, pattern
from tests.views.shapes import FILE, PAGE, PART, problem


def test_finalize_gives_the_stored_file_and_gives_it_again(ann_api):
    data = pattern(CHUNK + 5)
    batch = ann_api.make_batch()
    session = ann_api.open_session(len(data), batch_id=batch["id"], path="a")
    ann_api.put_parts(session, data)
    file = expect(200, ann_api.finalize(session))
    assert set(file) == FILE
    assert (file["id"], file["status"], file["error"]) == (session["file_id"], "STORED", None)
    assert (file["size_bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert file["stored_at"] >= file["created_at"]
    assert expect(200, ann_api.finalize(session)) == file
    assert expect(200, ann_api.get(f"/files/{file['id']}")) == file
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["stored_count"] == 1


def test_finalize_with_parts_missing_names_them_and_leaves_the_session_open(ann_api):
    data = pattern(5 * CHUNK)
    session = ann_api.open_session(len(data))
    expect(200, ann_api.put_part(session, 3, data[2 * CHUNK : 3 * CHUNK]))
    told = problem(ann_api.finalize(session), 400, "missing_parts", "missing_parts")
    assert told["missing_parts"] == [[1, 2], [4, 5]]
    ann_api.put_parts(session, data)
    assert expect(200, ann_api.finalize(session))["status"] == "STORED"


def test_finalize_of_an_aborted_session_is_refused(ann_api):
    session = ann_api.open_session(0)
    expect(204, ann_api.delete(f"/uploads/sessions/{session['session_id']}"))
    problem(ann_api.finalize(session), 409, "session_closed")


def test_bytes_without_the_declared_sha256_fail_the_file_and_are_told_so_again(ann_api):
    batch = ann_api.make_batch()
    session = ann_api.open_session(4, sha256="0" * 64, batch_id=batch["id"])
    ann_api.put_parts(session, b"test")
    for _ in range(2):
        problem(ann_api.finalize(session), 422, "sha256_mismatch")
    file = expect(200, ann_api.get(f"/files/{session['file_id']}"))
    assert (file["status"], file["error"]["code"], file["sha256"]) == ("FAILED", "sha256_mismatch", None)
    assert expect(200, ann_api.get(f"/uploads/sessions/{session['session_id']}"))["status"] == "FAILED"
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["failed_count"] == 1


def test_finalize_of_a_deleted_file_is_404(ann_api):
    session = ann_api.open_session(0)
    file = expect(200, ann_api.finalize(session))
    expect(204, ann_api.delete(f"/files/{file['id']}"))
    problem(ann_api.finalize(session), 404, "not_found")
    problem(ann_api.get(f"/uploads/sessions/{session['session_id']}"), 404, "not_found")


@pytest.mark.parametrize("options", [{"data": b"{}"}, {"data": b"\xff\x00"}, {"json": [1]}])
def test_a_body_that_finalize_does_not_need_does_no_harm(ann_api, options):
    session = ann_api.open_session(0)
    path = f"/uploads/sessions/{session['session_id']}/finalize"
    assert expect(200, ann_api.call("POST", path, **options))["status"] == "STORED"


def test_parts_are_listed_by_number_with_size_and_digest(ann_api):
    data = pattern(2 * CHUNK + 7)
    session = ann_api.open_session(len(data))
    path = f"/uploads/sessions/{session['session_id']}/parts"
    assert expect(200, ann_api.get(path)) == {"next": None, "previous": None, "results": []}
    sent = {}
    for number in (3, 1):
        body = data[(number - 1) * CHUNK : number * CHUNK]
        sent[number] = expect(200, ann_api.put_part(session, number, body))
        assert sent[number]["digest"] == {"algorithm": "blake3", "value": blake3(body).hexdigest()}
    page = expect(200, ann_api.get(path))
    assert set(page) == PAGE
    assert [set(part) for part in page["results"]] == [PART, PART]
    assert page["results"] == [sent[1], sent[3]]
    assert [part["size_bytes"] for part in page["results"]] == [CHUNK, 7]

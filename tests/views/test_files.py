"""Files over HTTP: shown, listed, deleted."""

import hashlib

import pytest

from tests.api import expect
from tests.samples import CHUNK
from tests.views.callers import ALL, make_callers, new_name
from tests.views.shapes import FILE, NOBODY, PAGE, problem


@pytest.fixture(scope="module")
def carol(portal_server):
    """Somebody who has nothing but what these tests give her."""
    return make_callers(portal_server, carol=(new_name(), ALL, "active"))["carol"]


def counters(api, batch):
    """Return total, stored and failed of a batch, and its bytes."""
    batch = expect(200, api.get(f"/batches/{batch['id']}"))
    return [batch[name] for name in "total_files stored_count failed_count total_bytes stored_bytes".split()]


def test_a_file_has_exactly_the_promised_members_from_the_beginning(ann_api):
    session = ann_api.open_session(5)
    file = expect(200, ann_api.get(f"/files/{session['file_id']}"))
    assert set(file) == FILE
    assert (file["status"], file["sha256"], file["error"], file["stored_at"]) == ("UPLOADING", None, None, None)
    assert (file["batch_id"], file["path"], file["content_type"]) == (None, None, "application/octet-stream")


def test_a_stored_file_has_its_digest_and_its_content(ann_api):
    file = ann_api.store(b"hello", original_filename="h.txt", content_type="text/plain")
    assert set(file) == FILE
    assert (file["status"], file["sha256"]) == ("STORED", hashlib.sha256(b"hello").hexdigest())
    content = ann_api.get(f"/files/{file['id']}/content")
    assert (content.content, content.headers["ETag"]) == (b"hello", f'"{file["sha256"]}"')
    assert content.headers["Content-Disposition"] == 'attachment; filename="h.txt"'


def test_a_failed_file_says_why(ann_api):
    session = ann_api.open_session(5)
    expect(204, ann_api.delete(f"/uploads/sessions/{session['session_id']}"))
    file = expect(200, ann_api.get(f"/files/{session['file_id']}"))
    assert set(file) == FILE
    assert file["error"]["code"] == "aborted"
    problem(ann_api.get(f"/files/{file['id']}/content"), 409, "file_not_stored")


def test_files_are_listed_newest_first_by_status_and_without_a_batch(carol):
    batch = carol.make_batch()
    loose = carol.store(b"1")
    joined = carol.store(b"2", batch_id=batch["id"])
    failed = carol.open_session(1, batch_id=batch["id"])
    expect(204, carol.delete(f"/uploads/sessions/{failed['session_id']}"))
    open_ = carol.open_session(1)

    def listed(query=""):
        page = expect(200, carol.get(f"/files{query}"))
        assert set(page) == PAGE
        assert all(set(file) == FILE for file in page["results"])
        return [file["id"] for file in page["results"]]

    assert listed() == [open_["file_id"], failed["file_id"], joined["id"], loose["id"]]
    assert listed("?status=STORED") == [joined["id"], loose["id"]]
    assert listed("?status=FAILED") == [failed["file_id"]]
    assert listed("?status=UPLOADING") == [open_["file_id"]]
    assert listed("?batch=none") == [open_["file_id"], loose["id"]]
    assert listed("?batch=none&status=STORED") == [loose["id"]]


def test_a_deleted_file_is_gone_with_its_content_and_leaves_the_counters(ann_api):
    batch = ann_api.make_batch()
    file = ann_api.store(b"12345", batch_id=batch["id"], path="a")
    ann_api.store(b"678", batch_id=batch["id"])
    assert counters(ann_api, batch) == [2, 2, 0, 8, 8]
    response = ann_api.delete(f"/files/{file['id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert counters(ann_api, batch) == [1, 1, 0, 3, 3]
    for path in (f"/files/{file['id']}", f"/files/{file['id']}/content"):
        problem(ann_api.get(path), 404, "not_found")
    problem(ann_api.delete(f"/files/{file['id']}"), 404, "not_found")
    assert ann_api.store(b"again", batch_id=batch["id"], path="a")["id"] != file["id"]


def test_deleting_a_failed_file_moves_the_counter_of_its_status(ann_api):
    batch = ann_api.make_batch()
    session = ann_api.open_session(5, batch_id=batch["id"])
    expect(204, ann_api.delete(f"/uploads/sessions/{session['session_id']}"))
    assert counters(ann_api, batch) == [1, 0, 1, 5, 0]
    expect(204, ann_api.delete(f"/files/{session['file_id']}"))
    assert counters(ann_api, batch) == [0, 0, 0, 0, 0]
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["status"] == "INIT"


def test_deleting_a_file_on_its_way_ends_its_session(ann_api):
    batch = ann_api.make_batch()
    session = ann_api.open_session(2 * CHUNK, batch_id=batch["id"])
    expect(200, ann_api.put_part(session, 1, b"x" * CHUNK))
    expect(204, ann_api.delete(f"/files/{session['file_id']}"))
    assert counters(ann_api, batch) == [0, 0, 0, 0, 0]
    problem(ann_api.put_part(session, 2, b"x" * CHUNK), 404, "not_found")
    problem(ann_api.get(f"/uploads/sessions/{session['session_id']}"), 404, "not_found")


def test_a_file_of_a_completed_batch_stays(ann_api):
    batch = ann_api.make_batch(expected_files=1)
    file = ann_api.store(b"1", batch_id=batch["id"])
    problem(ann_api.delete(f"/files/{file['id']}"), 409, "batch_completed")
    assert ann_api.get(f"/files/{file['id']}/content").content == b"1"
    assert counters(ann_api, batch) == [1, 1, 0, 1, 1]


def test_a_file_that_is_not_there_is_404(ann_api):
    for path in (f"/files/{NOBODY}", f"/files/{NOBODY}/content"):
        problem(ann_api.get(path), 404, "not_found")
    problem(ann_api.delete(f"/files/{NOBODY}"), 404, "not_found")

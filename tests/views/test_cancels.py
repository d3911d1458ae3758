"""DELETE /batches/{id}: 204 whenever it is carried out; the tombstone of a completed batch."""

import pytest

from tests.api import Api, expect
from tests.samples import CHUNK
from tests.transfer.uploads import problem

TEXT = {"Accept": "text/plain"}


@pytest.fixture
def batch(ann_api):
    """The path of a new batch with a stored file and an open session."""
    path = f"/batches/{ann_api.make_batch()['id']}"
    expect(201, ann_api.put(f"{path}/files/a", b"1"))
    return path


def test_a_cancelled_batch_keeps_its_stored_files_and_takes_no_others(ann_api, batch):
    pk = batch.rpartition("/")[2]
    session = ann_api.open_session(CHUNK, batch_id=pk, path="b")
    for _ in range(2):
        assert expect(204, ann_api.delete(batch)) is None
    row = expect(200, ann_api.get(batch))
    assert (row["status"], row["stored_count"], row["failed_count"], row["pending_count"]) == ("CANCELLED", 1, 1, 0)
    assert problem(ann_api.put_part(session, 1, bytes(CHUNK))) == (409, "session_closed")
    body = {"original_filename": "c", "total_size_bytes": 1, "batch_id": pk}
    assert problem(ann_api.post("/uploads/sessions", body)) == (409, "batch_cancelled")
    assert problem(ann_api.put(f"{batch}/files/c", b"1")) == (409, "batch_cancelled")
    assert problem(ann_api.post(f"{batch}/seal", {})) == (409, "batch_cancelled")
    assert problem(ann_api.get(f"{batch}/receipt")) == (409, "batch_not_complete")
    files = expect(200, ann_api.get(f"{batch}/files"))["results"]
    assert [(file["status"], file["path"]) for file in files] == [("STORED", "a"), ("FAILED", "b")]
    assert ann_api.get(f"/files/{files[0]['id']}/content").content == b"1"
    assert expect(200, ann_api.get("/batches?status=CANCELLED&limit=1"))["results"][0]["id"] == pk


def test_with_files_delete_they_go_too(ann_api, batch):
    for _ in range(2):
        expect(204, ann_api.delete(f"{batch}?files=delete"))
    row = expect(200, ann_api.get(batch))
    assert (row["status"], row["total_files"], row["total_bytes"]) == ("CANCELLED", 0, 0)
    assert expect(200, ann_api.get(f"{batch}/files"))["results"] == []


def test_a_completed_batch_is_left_as_a_tombstone(ann_api, batch):
    file = expect(200, ann_api.get(f"{batch}/files"))["results"][0]
    expect(200, ann_api.post(f"{batch}/seal", {}))
    assert problem(ann_api.delete(batch)) == (409, "batch_completed")
    row, receipt, manifest = (
        ann_api.get(batch).json(),
        ann_api.get(f"{batch}/receipt").json(),
        ann_api.get(f"{batch}/receipt", headers=TEXT).text,
    )
    for _ in range(2):
        expect(204, ann_api.delete(f"{batch}?files=delete"))
        assert expect(200, ann_api.get(batch)) == row
        assert expect(200, ann_api.get(f"{batch}/receipt")) == receipt
        assert ann_api.get(f"{batch}/receipt", headers=TEXT).text == manifest == f"{file['sha256']}  a\n"
    assert problem(ann_api.get(f"/files/{file['id']}")) == (404, "not_found")
    assert problem(ann_api.get(f"/files/{file['id']}/content")) == (404, "not_found")
    assert problem(ann_api.delete(batch)) == (409, "batch_completed")
    assert problem(ann_api.put(f"{batch}/files/a", b"1")) == (409, "batch_sealed")


def test_deleting_needs_both_scopes(portal_server, ann_api, batch):
    only = Api(portal_server.url, portal_server.create_token("ann", "--scope", "upload"))
    assert problem(only.delete(f"{batch}?files=delete")) == (403, "insufficient_scope")
    assert expect(200, ann_api.get(batch))["status"] == "COMPLETE"
    expect(204, only.delete(batch))


@pytest.mark.parametrize("query", ["files=keep", "files=", "files=DELETE"])
def test_another_word_is_400_and_cancels_nothing(ann_api, batch, query):
    assert problem(ann_api.delete(f"{batch}?{query}")) == (400, "invalid")
    assert expect(200, ann_api.get(batch))["status"] == "COMPLETE"


def test_somebody_elses_batch_is_404(bob_api, batch):
    for query in ("", "?files=delete"):
        assert problem(bob_api.delete(batch + query)) == (404, "not_found")

"""Seal and receipt over HTTP."""

import hashlib

import pytest

from tests.api import expect
from tests.views.shapes import BATCH, field_errors, problem

COUNTS = ("expected_files", "total_files", "missing", "extra")


@pytest.fixture
def batch(ann_api):
    """A batch with two stored files."""
    batch = ann_api.make_batch()
    for path in ("b", "a"):
        ann_api.store(path.encode(), batch_id=batch["id"], path=path)
    return batch["id"]


def test_a_seal_is_answered_with_the_batch_as_it_is_then(ann_api, batch):
    sealed = expect(200, ann_api.post(f"/batches/{batch}/seal", {"expected_files": 2}))
    assert set(sealed) == BATCH
    assert None not in (sealed["sealed_at"], sealed["completed_at"])
    assert (sealed["status"], sealed["expected_files"]) == ("COMPLETE", 2)
    assert expect(200, ann_api.get(f"/batches/{batch}")) == sealed


def test_sealing_again_is_the_same_answer(ann_api, batch):
    first = expect(200, ann_api.post(f"/batches/{batch}/seal"))
    assert expect(200, ann_api.post(f"/batches/{batch}/seal", {})) == first


def test_a_mismatch_says_how_many_are_missing_and_too_many(ann_api, batch):
    members = problem(ann_api.post(f"/batches/{batch}/seal", {"expected_files": 5}), 409, "seal_mismatch", *COUNTS)
    assert (members["missing"], members["extra"], members["total_files"]) == (3, 0, 2)


@pytest.mark.parametrize("field", [{"expected_files": -1}, {"expected_files": "2"}, {"manifest_sha256": "no"}])
def test_a_seal_with_a_bad_field_is_400(ann_api, batch, field):
    assert set(field_errors(ann_api.post(f"/batches/{batch}/seal", field))) == set(field)


def test_nothing_joins_a_sealed_batch(ann_api, batch):
    expect(200, ann_api.post(f"/batches/{batch}/seal"))
    body = {"original_filename": "c", "total_size_bytes": 1, "batch_id": batch}
    problem(ann_api.post("/uploads/sessions", body), 409, "batch_sealed")


@pytest.mark.parametrize(
    "accept", ["text/plain", "text/plain; charset=utf-8", "text/plain;charset=UTF-8, application/json;q=0.5", "text/*"]
)
def test_the_receipt_as_json_and_as_text_belong_together(ann_api, batch, accept):
    expect(200, ann_api.post(f"/batches/{batch}/seal"))
    receipt = expect(200, ann_api.get(f"/batches/{batch}/receipt"))
    text = ann_api.get(f"/batches/{batch}/receipt", headers={"Accept": accept})
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Accept" in text.headers["Vary"]
    assert text.content == b"".join(b"%s  %s\n" % (hashlib.sha256(p).hexdigest().encode(), p) for p in (b"a", b"b"))
    assert receipt["manifest_sha256"] == hashlib.sha256(text.content).hexdigest()
    assert (receipt["batch_id"], receipt["stored_count"], receipt["stored_bytes"]) == (batch, 2, 2)
    assert expect(200, ann_api.get(f"/batches/{batch}/receipt")) == receipt


@pytest.mark.parametrize("accept", ["application/json", "text/plain", "*/*"])
def test_before_the_batch_is_completed_there_is_no_receipt(ann_api, batch, accept):
    response = ann_api.get(f"/batches/{batch}/receipt", headers={"Accept": accept})
    assert "seal it" in problem(response, 409, "batch_not_complete")["detail"]


def test_what_keeps_a_batch_from_its_receipt_is_said(ann_api, batch):
    ann_api.open_session(1, batch_id=batch)
    refused = ann_api.get(f"/batches/{batch}/receipt")
    assert "pending" in problem(refused, 409, "batch_not_complete")["detail"]
    assert "seal it" not in refused.text
    expect(204, ann_api.delete(f"/batches/{batch}"))
    assert "cancelled" in problem(ann_api.get(f"/batches/{batch}/receipt"), 409, "batch_not_complete")["detail"]
    few = ann_api.make_batch(expected_files=3)["id"]
    refused = problem(ann_api.get(f"/batches/{few}/receipt"), 409, "batch_not_complete")
    assert "0 of the 3 files" in refused["detail"]


def test_the_manifest_seals_the_batch_that_it_lists(ann_api, batch):
    lines = b"".join(b"%s  %s\n" % (hashlib.sha256(p).hexdigest().encode(), p) for p in (b"a", b"b"))
    digest = hashlib.sha256(lines).hexdigest()
    response = ann_api.post(f"/batches/{batch}/seal", {"manifest_sha256": "0" * 64})
    members = problem(response, 409, "seal_mismatch", *COUNTS, "manifest_sha256")
    assert members["manifest_sha256"] == digest
    expect(200, ann_api.post(f"/batches/{batch}/seal", {"manifest_sha256": digest}))

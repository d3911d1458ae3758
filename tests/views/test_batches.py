"""Batches over HTTP: made, shown, listed, with exactly the members that were promised."""

import re

import pytest

from tests.api import expect
from tests.views.shapes import BATCH, NOBODY, PAGE, field_errors, problem

RFC3339_UTC = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
COUNTERS = "total_files stored_count failed_count pending_count total_bytes stored_bytes".split()


def show(api, batch):
    """Return the members of the batch as they are now."""
    return expect(200, api.get(f"/batches/{batch['id']}"))


def test_a_new_batch_is_empty_and_has_exactly_the_promised_members(ann_api):
    batch = ann_api.make_batch()
    assert set(batch) == BATCH
    assert [batch[name] for name in COUNTERS] == [0] * 6
    assert (batch["name"], batch["status"], batch["metadata"], batch["expected_files"]) == ("", "INIT", {}, None)
    assert (batch["sealed_at"], batch["completed_at"]) == (None, None)


def test_the_location_of_a_new_batch_leads_to_it(ann_api):
    response = ann_api.post("/batches", {"name": "täglich", "metadata": {"a": [1, None]}, "expected_files": 3})
    batch = expect(201, response)
    assert response.headers["Location"] == f"/batches/{batch['id']}"
    assert expect(200, ann_api.get(response.headers["Location"])) == batch
    assert (batch["name"], batch["metadata"], batch["expected_files"]) == ("täglich", {"a": [1, None]}, 3)


def test_ids_are_uuid7_and_times_are_rfc_3339_in_utc(ann_api):
    batch = ann_api.make_batch()
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", batch["id"])
    assert re.fullmatch(RFC3339_UTC, batch["created_at"])
    assert re.fullmatch(RFC3339_UTC, batch["updated_at"])


def test_a_body_may_be_left_out(ann_api):
    assert set(expect(201, ann_api.call("POST", "/batches"))) == BATCH


def test_counters_and_status_follow_the_files(ann_api):
    batch = ann_api.make_batch()
    ann_api.store(b"12345", batch_id=batch["id"])
    assert show(ann_api, batch)["status"] == "COMPLETE"
    session = ann_api.open_session(7, batch_id=batch["id"])
    shown = show(ann_api, batch)
    assert [shown[name] for name in COUNTERS] == [2, 1, 0, 1, 12, 5]
    assert shown["status"] == "IN_PROGRESS"
    expect(204, ann_api.delete(f"/uploads/sessions/{session['session_id']}"))
    shown = show(ann_api, batch)
    assert [shown[name] for name in COUNTERS] == [2, 1, 1, 0, 12, 5]
    assert shown["status"] == "PARTIAL"


def test_a_batch_whose_files_have_all_failed_is_failed(ann_api):
    batch = ann_api.make_batch()
    session = ann_api.open_session(1, batch_id=batch["id"])
    expect(204, ann_api.delete(f"/uploads/sessions/{session['session_id']}"))
    assert show(ann_api, batch)["status"] == "FAILED"


def test_a_batch_that_waits_for_more_files_is_in_progress_and_completes_with_the_last(ann_api):
    batch = ann_api.make_batch(expected_files=2)
    ann_api.store(b"1", batch_id=batch["id"])
    assert (show(ann_api, batch)["status"], show(ann_api, batch)["completed_at"]) == ("IN_PROGRESS", None)
    ann_api.store(b"2", batch_id=batch["id"])
    shown = show(ann_api, batch)
    assert shown["status"] == "COMPLETE"
    assert re.fullmatch(RFC3339_UTC, shown["completed_at"])


def test_nothing_joins_a_completed_batch(ann_api):
    batch = ann_api.make_batch(expected_files=1)
    ann_api.store(b"1", batch_id=batch["id"])
    body = {"original_filename": "a", "total_size_bytes": 1, "batch_id": batch["id"]}
    problem(ann_api.post("/uploads/sessions", body), 409, "batch_completed")


def test_batches_are_listed_newest_first(ann_api):
    first, second = ann_api.make_batch(), ann_api.make_batch()
    page = expect(200, ann_api.get("/batches?limit=2"))
    assert set(page) == PAGE
    assert [set(batch) for batch in page["results"]] == [BATCH, BATCH]
    assert page["results"] == [second, first]


def test_batches_are_listed_by_status(ann_api):
    empty, busy = ann_api.make_batch(), ann_api.make_batch()
    ann_api.open_session(1, batch_id=busy["id"])
    for status, there, not_there in (("INIT", empty, busy), ("IN_PROGRESS", busy, empty)):
        results = expect(200, ann_api.get(f"/batches?status={status}&limit=1000"))["results"]
        assert {batch["status"] for batch in results} == {status}
        ids = {batch["id"] for batch in results}
        assert there["id"] in ids
        assert not_there["id"] not in ids


@pytest.mark.parametrize("status", ["INIT", "IN_PROGRESS", "COMPLETE", "PARTIAL", "FAILED", "CANCELLED"])
def test_every_status_of_the_contract_can_be_asked_for(ann_api, status):
    assert set(expect(200, ann_api.get(f"/batches?status={status}&limit=1"))) == PAGE


def test_a_batch_that_is_not_there_is_404(ann_api):
    problem(ann_api.get(f"/batches/{NOBODY}"), 404, "not_found")
    problem(ann_api.get(f"/batches/{NOBODY}/files"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x" * 256}, "name"),
        ({"name": "line\nbreak"}, "name"),
        ({"name": 5}, "name"),
        ({"expected_files": 0}, "expected_files"),
        ({"expected_files": -1}, "expected_files"),
        ({"expected_files": 1.0}, "expected_files"),
        ({"expected_files": "1"}, "expected_files"),
        ({"expected_files": True}, "expected_files"),
        ({"metadata": []}, "metadata"),
        ({"metadata": "{}"}, "metadata"),
    ],
)
def test_a_bad_field_is_named(ann_api, body, field):
    assert set(field_errors(ann_api.post("/batches", body))) == {field}


def test_a_field_that_is_null_is_as_good_as_left_out(ann_api):
    batch = ann_api.make_batch(name=None, metadata=None, expected_files=None)
    assert (batch["name"], batch["metadata"], batch["expected_files"]) == ("", {}, None)


def test_every_bad_field_is_named_at_once(ann_api):
    body = {"name": "x" * 256, "expected_files": "many", "metadata": []}
    assert set(field_errors(ann_api.post("/batches", body))) == set(body)


def test_a_name_of_255_characters_is_taken_as_it_is(ann_api):
    for name in ("ü" * 255, "  blanks stay  ", "💥 ‮", ""):
        assert ann_api.make_batch(name=name)["name"] == name

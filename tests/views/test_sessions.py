"""Upload sessions over HTTP: opened, shown, listed, aborted."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api import expect
from tests.samples import CHUNK, pattern
from tests.views.callers import ALL, make_callers, new_name
from tests.views.shapes import NOBODY, PAGE, SESSION, field_errors, problem

BODY = {"original_filename": "a.bin", "total_size_bytes": 1}


def show(api, session):
    """Return the members of the session as they are now."""
    return expect(200, api.get(f"/uploads/sessions/{session['session_id']}"))


def test_a_new_session_says_how_the_file_is_to_be_cut(ann_api):
    session = ann_api.open_session(2 * CHUNK + 1)
    assert set(session) == SESSION
    assert (session["status"], session["batch_id"], session["chunk_size_bytes"]) == ("INIT", None, CHUNK)
    assert (session["total_size_bytes"], session["total_parts"]) == (2 * CHUNK + 1, 3)
    assert (session["completed_parts"], session["received_bytes"]) == (0, 0)
    assert (session["received_parts"], session["missing_parts"]) == ([], [[1, 3]])


def test_the_location_of_a_new_session_leads_to_it(ann_api):
    response = ann_api.post("/uploads/sessions", BODY)
    session = expect(201, response)
    assert response.headers["Location"] == f"/uploads/sessions/{session['session_id']}"
    assert expect(200, ann_api.get(response.headers["Location"])) == session


def test_a_session_lives_for_the_time_that_limits_tells(ann_api):
    lifetime = expect(200, ann_api.get("/limits"))["session_ttl_seconds"]
    ends = datetime.fromisoformat(ann_api.open_session(1)["expires_at"])
    left = ends - datetime.now(UTC)
    assert timedelta(0) <= timedelta(seconds=lifetime) - left < timedelta(minutes=1)


def test_its_file_is_uploading_with_what_was_said_of_it(ann_api):
    batch = ann_api.make_batch()
    said = {"original_filename": "Übersicht.pdf", "content_type": "application/pdf", "path": "a/b.pdf"}
    session = ann_api.open_session(5, batch_id=batch["id"], metadata={"k": [1, {}]}, **said)
    file = expect(200, ann_api.get(f"/files/{session['file_id']}"))
    assert {name: file[name] for name in said} == said
    assert (file["status"], file["size_bytes"], file["metadata"]) == ("UPLOADING", 5, {"k": [1, {}]})
    assert (file["batch_id"], file["session_id"]) == (batch["id"], session["session_id"])
    assert session["batch_id"] == batch["id"]


def test_an_empty_file_has_no_parts_and_can_be_finalized_at_once(ann_api):
    session = ann_api.open_session(0)
    assert (session["status"], session["total_parts"], session["missing_parts"]) == ("INIT", 0, [])
    assert expect(200, ann_api.finalize(session))["status"] == "STORED"


def test_what_has_arrived_is_told_as_ranges(ann_api):
    data = pattern(6 * CHUNK)
    session = ann_api.open_session(len(data))
    for number in (2, 3, 6):
        expect(200, ann_api.put_part(session, number, data[(number - 1) * CHUNK : number * CHUNK]))
    shown = show(ann_api, session)
    assert set(shown) == SESSION
    assert (shown["status"], shown["completed_parts"], shown["received_bytes"]) == ("IN_PROGRESS", 3, 3 * CHUNK)
    assert (shown["received_parts"], shown["missing_parts"]) == ([[2, 3], [6, 6]], [[1, 1], [4, 5]])


@pytest.mark.parametrize("wish", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 2**62])
def test_a_wish_for_a_chunk_size_is_met_within_bounds(ann_api, wish):
    limits = expect(200, ann_api.get("/limits"))
    chunk = ann_api.open_session(1, chunk_size_bytes=wish)["chunk_size_bytes"]
    nearest = min(max(wish, limits["chunk_size_min_bytes"]), limits["chunk_size_max_bytes"])
    assert nearest <= chunk < nearest + CHUNK


def test_a_file_never_needs_more_than_10_000_parts(ann_api):
    session = ann_api.open_session(10_000 * CHUNK + 1)
    assert session["total_parts"] <= 10_000
    assert session["total_parts"] * session["chunk_size_bytes"] >= 10_000 * CHUNK + 1


def test_a_file_over_the_maximum_is_413(ann_api):
    largest = expect(200, ann_api.get("/limits"))["max_file_size_bytes"]
    ann_api.open_session(largest)
    for size in (largest + 1, 2**63 - 1):
        response = ann_api.post("/uploads/sessions", BODY | {"total_size_bytes": size})
        assert problem(response, 413, "file_too_large", "max_file_size_bytes")["max_file_size_bytes"] == largest


def test_a_path_of_a_batch_is_taken_once(ann_api):
    batch, other = ann_api.make_batch(), ann_api.make_batch()
    where = {"batch_id": batch["id"], "path": "a/b"}
    ann_api.open_session(1, **where)
    problem(ann_api.post("/uploads/sessions", BODY | where), 409, "path_taken")
    ann_api.open_session(1, batch_id=other["id"], path="a/b")
    ann_api.open_session(1, path="a/b")
    ann_api.open_session(1, path="a/b")
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["total_files"] == 1


def test_a_failed_file_is_opened_again_by_a_session_on_its_path(ann_api):
    batch = ann_api.make_batch()
    where = {"batch_id": batch["id"], "path": "a/b"}
    first = ann_api.open_session(3, **where)
    expect(204, ann_api.delete(f"/uploads/sessions/{first['session_id']}"))
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["failed_count"] == 1
    file = ann_api.store(b"again", **where)
    assert (file["id"], file["status"], file["error"]) == (first["file_id"], "STORED", None)
    batch = expect(200, ann_api.get(f"/batches/{batch['id']}"))
    assert (batch["total_files"], batch["stored_count"], batch["failed_count"]) == (1, 1, 0)


def test_sessions_are_listed_newest_first_by_status_each_as_it_is_alone(portal_server):
    carol = make_callers(portal_server, carol=(new_name(), ALL, "active"))["carol"]
    first, second = carol.open_session(1), carol.open_session(0)
    carol.finalize(second)
    page = expect(200, carol.get("/uploads/sessions"))
    assert set(page) == PAGE
    assert page["results"] == [show(carol, second), show(carol, first)]
    assert [row["session_id"] for row in page["results"]] == [second["session_id"], first["session_id"]]
    for status, ids in (("INIT", [first["session_id"]]), ("COMPLETE", [second["session_id"]]), ("ABORTED", [])):
        results = expect(200, carol.get(f"/uploads/sessions?status={status}"))["results"]
        assert [row["session_id"] for row in results] == ids


def test_abort_fails_the_file_once_and_can_be_repeated(ann_api):
    batch = ann_api.make_batch()
    session = ann_api.open_session(3, batch_id=batch["id"])
    for _ in range(2):
        response = ann_api.delete(f"/uploads/sessions/{session['session_id']}")
        assert (response.status_code, response.content) == (204, b"")
    file = expect(200, ann_api.get(f"/files/{session['file_id']}"))
    assert (file["status"], file["error"]["code"], set(file["error"])) == ("FAILED", "aborted", {"code", "detail"})
    assert show(ann_api, session)["status"] == "ABORTED"
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["failed_count"] == 1


def test_a_session_that_has_ended_cannot_be_aborted(ann_api):
    session = ann_api.open_session(0)
    expect(200, ann_api.finalize(session))
    problem(ann_api.delete(f"/uploads/sessions/{session['session_id']}"), 409, "session_closed")
    assert show(ann_api, session)["status"] == "COMPLETE"


@pytest.mark.parametrize("missing", ["original_filename", "total_size_bytes"])
def test_what_a_session_needs_is_asked_for(ann_api, missing):
    body = {name: value for name, value in BODY.items() if name != missing}
    assert field_errors(ann_api.post("/uploads/sessions", body)) == {missing: "required"}


def test_a_session_that_is_not_there_is_404(ann_api):
    for path in (f"/uploads/sessions/{NOBODY}", f"/uploads/sessions/{NOBODY}/parts"):
        problem(ann_api.get(path), 404, "not_found")
    problem(ann_api.delete(f"/uploads/sessions/{NOBODY}"), 404, "not_found")
    problem(ann_api.post(f"/uploads/sessions/{NOBODY}/finalize"), 404, "not_found")
    problem(ann_api.post("/uploads/sessions", BODY | {"batch_id": NOBODY}), 404, "not_found")

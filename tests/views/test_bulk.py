"""Many finalizes in one call: a result for each, in order, the same when asked again."""

import uuid

import pytest

from tests.api import expect
from tests.samples import CHUNK
from tests.views.shapes import FILE, NOBODY, field_errors


@pytest.fixture
def batch(ann_api):
    """A batch of ann's."""
    return ann_api.make_batch()["id"]


def ready(api, batch, data=b"data", **fields):
    """Return the id of a session that has all its parts."""
    session = api.open_session(len(data), batch_id=batch, **fields)
    api.put_parts(session, data)
    return session["session_id"]


def finalize(api, batch, *ids):
    """Return the results."""
    return expect(200, api.post(f"/batches/{batch}/finalize", {"session_ids": list(ids)}))["results"]


def test_each_session_has_its_result_in_order(ann_api, batch):
    ids = [
        ready(ann_api, batch, b"one"),
        ann_api.open_session(2 * CHUNK, batch_id=batch)["session_id"],
        NOBODY,
        ready(ann_api, batch, b"two", sha256="0" * 64),
        ready(ann_api, batch, b"three"),
    ]
    results = finalize(ann_api, batch, *ids)
    assert [result["session_id"] for result in results] == ids
    assert [result["status"] for result in results] == ["STORED", "REJECTED", "REJECTED", "REJECTED", "STORED"]
    codes = [result["error"]["code"] for result in results[1:4]]
    assert codes == ["missing_parts", "not_found", "sha256_mismatch"]
    assert results[1]["error"]["missing_parts"] == [[1, 2]]
    assert set(results[0]["file"]) == FILE
    assert results[0]["file"]["size_bytes"] == 3
    counted = expect(200, ann_api.get(f"/batches/{batch}"))
    assert [counted[name] for name in ("total_files", "stored_count", "failed_count")] == [4, 2, 1]


def test_asking_again_gives_the_same_results(ann_api, batch):
    ids = [ready(ann_api, batch), ready(ann_api, batch, sha256="0" * 64)]
    assert finalize(ann_api, batch, *ids) == finalize(ann_api, batch, *ids, *ids)[2:]


def test_a_file_too_large_to_be_quick_goes_on_by_itself(ann_api, batch):
    data = bytes(8 * 2**20 + 1)
    session = ready(ann_api, batch, data, chunk_size_bytes=8 * 2**20)
    assert finalize(ann_api, batch, session) == [{"session_id": session, "status": "FINALIZING"}]


def test_sessions_of_another_batch_or_of_none_or_of_somebody_else_are_not_found(ann_api, bob_api, batch):
    other = ann_api.make_batch()["id"]
    loose = ann_api.open_session(1)
    ann_api.put_parts(loose, b"x")
    theirs = ready(bob_api, bob_api.make_batch()["id"])
    results = finalize(ann_api, batch, ready(ann_api, other), loose["session_id"], theirs)
    assert [result["error"]["code"] for result in results] == ["not_found"] * 3
    assert expect(200, ann_api.get(f"/uploads/sessions/{loose['session_id']}"))["status"] == "IN_PROGRESS"


@pytest.mark.parametrize("ids", [None, [], "x", ["x"], [NOBODY] * 1001, [1], {}], ids=lambda ids: str(ids)[:12])
def test_bad_ids_are_400(ann_api, batch, ids):
    fields = field_errors(ann_api.post(f"/batches/{batch}/finalize", {"session_ids": ids}))
    assert {name.partition(".")[0] for name in fields} == {"session_ids"}
    field_errors(ann_api.post(f"/batches/{batch}/finalize", {}))


def test_a_thousand_ids_are_taken(ann_api, batch):
    ids = [str(uuid.uuid4()) for _ in range(1000)]
    assert {result["status"] for result in finalize(ann_api, batch, *ids)} == {"REJECTED"}

"""POST /batches/{id}/files as JSON: a result for each entry, in order; a bad one is rejected by itself."""

import hashlib

import pytest

from tests.api import expect
from tests.samples import CHUNK, pattern
from tests.transfer.tars import END, member
from tests.transfer.uploads import problem

DATA = pattern(CHUNK + 9)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def batch(ann_api):
    """The path of a new batch."""
    return f"/batches/{ann_api.make_batch()['id']}"


def declare(api, batch, files, **options):
    """Declare files; return the results."""
    return expect(200, api.post(f"{batch}/files", {"files": files, **options}))["results"]


def test_a_folder_that_is_run_again_uploads_only_what_is_missing(ann_api, batch):
    files = [{"path": path, "total_size_bytes": len(DATA), "sha256": SHA256} for path in ("a/b", "c", "d")]
    first = declare(ann_api, batch, files, open_sessions=True)
    assert [result["action"] for result in first] == ["upload"] * 3
    assert first[0].keys() == {"path", "action", "file_id", "session_id", "chunk_size_bytes", "total_parts"}
    row = expect(200, ann_api.get(batch))
    assert (row["total_files"], row["pending_count"], row["status"]) == (3, 3, "IN_PROGRESS")
    session = first[0] | {"total_size_bytes": len(DATA)}
    ann_api.put_parts(session, DATA)
    assert expect(200, ann_api.finalize(session))["id"] == first[0]["file_id"]
    again = declare(ann_api, batch, files)
    assert [result["action"] for result in again] == ["stored", "resume", "resume"]
    assert [result.get("session_id") for result in again] == [None, first[1]["session_id"], first[2]["session_id"]]
    assert again[0].keys() == {"path", "action", "file_id"}


def test_what_is_missing_is_listed_and_may_come_by_any_way(ann_api, batch):
    files = [{"path": path, "total_size_bytes": 1} for path in ("a", "b", "c")]
    results = declare(ann_api, batch, files)
    assert [result.keys() for result in results] == [{"path", "action", "file_id"}] * 3
    missing = expect(200, ann_api.get(f"{batch}/files?status=EXPECTED"))["results"]
    assert [(file["path"], file["sha256"], file["size_bytes"]) for file in missing] == [(p, None, 1) for p in "abc"]
    assert expect(201, ann_api.put(f"{batch}/files/a", b"x"))["id"] == results[0]["file_id"]
    tar = ann_api.call(
        "POST", f"{batch}/files", data=member(b"b", b"x") + END, headers={"Content-Type": "application/x-tar"}
    )
    assert expect(200, tar)["results"][0]["file_id"] == results[1]["file_id"]
    assert problem(ann_api.put(f"{batch}/files/c", b"xx")) == (409, "path_taken")
    assert problem(ann_api.get(f"/files/{results[2]['file_id']}/content")) == (409, "file_not_stored")
    missing = expect(200, ann_api.get(f"{batch}/files?status=EXPECTED"))["results"]
    assert [file["path"] for file in missing] == ["c"]


BAD = [
    {"path": "../a", "total_size_bytes": 1},
    {"path": "/a", "total_size_bytes": 1},
    {"path": "", "total_size_bytes": 1},
    {"path": "a\nb", "total_size_bytes": 1},
    {"path": "p" * 1025, "total_size_bytes": 1},
    {"path": "a", "total_size_bytes": -1},
    {"path": "a", "total_size_bytes": 1, "sha256": "xyz"},
    {"path": "a", "total_size_bytes": 1, "content_type": "\n"},
    {"path": "a"},
    {"path": "a", "total_size_bytes": "1"},
    {"path": "a", "total_size_bytes": True},
    {"path": "a", "total_size_bytes": None},
    {"path": "a", "total_size_bytes": 1, "sha256": 5},
    {"path": "a", "total_size_bytes": 1, "content_type": []},
    {"total_size_bytes": 1},
    {"path": None, "total_size_bytes": 1},
]
#: Without a path that could be told.
NAMELESS = [{"path": 1, "total_size_bytes": 1}, {"path": {}, "total_size_bytes": 1}, "a", 1, None, [], {}]


def test_a_bad_entry_is_rejected_and_the_rest_goes_on(ann_api, batch):
    good = {"path": "good", "total_size_bytes": 1, "sha256": None, "content_type": None, "other": 1}
    results = declare(ann_api, batch, [*BAD, good, {"path": "huge", "total_size_bytes": 2**62}])
    assert [result["action"] for result in results] == ["rejected"] * len(BAD) + ["upload", "rejected"]
    assert [result["path"] for result in results[:-2]] == [entry.get("path") for entry in BAD]
    assert {result["error"]["code"] for result in results[:-2]} == {"invalid"}
    assert results[-1]["error"]["code"] == "file_too_large"
    assert {result["file_id"] for result in results if result["action"] == "rejected"} == {None}
    assert expect(200, ann_api.get(batch))["total_files"] == 1


def test_an_entry_without_a_path_is_rejected_by_itself_too(ann_api, batch):
    results = declare(ann_api, batch, [*NAMELESS, {"path": "good", "total_size_bytes": 1}])
    assert [result["action"] for result in results] == ["rejected"] * len(NAMELESS) + ["upload"]
    assert [(result["path"], result["error"]["code"]) for result in results[:-1]] == [(None, "invalid")] * len(NAMELESS)
    errors = results[-2]["error"]["errors"]
    assert [(error["field"], error["code"]) for error in errors] == [
        ("path", "required"),
        ("total_size_bytes", "required"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": None},
        {"files": "a"},
        {"files": []},
        {"files": [{"path": "a", "total_size_bytes": 1}], "open_sessions": "yes"},
        {"files": [{"path": str(n), "total_size_bytes": 1} for n in range(1001)]},
    ],
)
def test_a_body_of_another_form_is_400_and_declares_nothing(ann_api, batch, body):
    assert problem(ann_api.post(f"{batch}/files", body)) == (400, "invalid")
    assert expect(200, ann_api.get(batch))["total_files"] == 0


def test_a_thousand_are_declared_in_one_call(ann_api, batch):
    files = [{"path": f"{n % 7}/{n}", "total_size_bytes": n} for n in range(1000)]
    results = declare(ann_api, batch, files)
    assert [result["path"] for result in results] == [file["path"] for file in files]
    row = expect(200, ann_api.get(batch))
    assert (row["pending_count"], row["total_bytes"]) == (1000, sum(range(1000)))


def test_another_media_type_is_415(ann_api, batch):
    response = ann_api.call("POST", f"{batch}/files", data=b"x", headers={"Content-Type": "application/gzip"})
    assert problem(response) == (415, "unsupported_media_type")

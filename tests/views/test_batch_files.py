"""The files of a batch: by id, by status, and by path, compared bytewise as a range."""

import pytest

from tests.api import expect
from tests.views.shapes import FILE, PAGE, field_errors

#: In the order of their UTF-8 bytes: upper case before lower, `-` and `.` before `/`, umlauts last, astral after BMP.
PATHS = ["A/1", "a", "a-b", "a.b", "a/", "a/B", "a/b", "a/b/c", "a0", "aa", "b", "ä", "ä/1", "￮", "💥"]
PATHS.remove("a/")


@pytest.fixture(scope="module")
def batch(ann_api):
    """A batch with a stored or open file on each path, made in no particular order, and one without a path."""
    batch = ann_api.make_batch()
    for number, path in enumerate(sorted(PATHS, key=lambda path: path[::-1])):
        fields = {"batch_id": batch["id"], "path": path}
        if number % 3:
            ann_api.store(b"", **fields)
        else:
            ann_api.open_session(1, **fields)
    ann_api.store(b"", batch_id=batch["id"])
    return batch


def listed(api, batch, **query):
    """Return the files of the batch as one page."""
    page = expect(200, api.get(f"/batches/{batch['id']}/files", params=query))
    assert set(page) == PAGE
    assert page["next"] is None
    return page["results"]


def paths(api, batch, **query):
    """Return the paths of the batch's files, in the order of the list."""
    return [file["path"] for file in listed(api, batch, **query)]


def test_files_come_in_the_order_in_which_they_joined(ann_api, batch):
    files = listed(ann_api, batch)
    assert all(set(file) == FILE and file["batch_id"] == batch["id"] for file in files)
    assert len(files) == len(PATHS) + 1
    assert [file["id"] for file in files] == sorted(file["id"] for file in files)


def test_files_are_listed_by_status(ann_api, batch):
    stored, uploading = listed(ann_api, batch, status="STORED"), listed(ann_api, batch, status="UPLOADING")
    assert {file["status"] for file in stored} == {"STORED"}
    assert {file["status"] for file in uploading} == {"UPLOADING"}
    assert len(stored) + len(uploading) == len(PATHS) + 1
    assert listed(ann_api, batch, status="FAILED") == []


def test_a_path_prefix_orders_by_the_bytes_of_the_path(ann_api, batch):
    assert sorted(PATHS, key=str.encode) == PATHS
    assert paths(ann_api, batch, path_prefix="") == PATHS


@pytest.mark.parametrize(
    "prefix", ["a", "a/", "a/b", "A", "ä", "ä/", "💥", "￮", "a-", "b", "aa", "a/b/c", "c", "%", "_", "a%"]
)
def test_a_path_prefix_is_a_range_of_bytes(ann_api, batch, prefix):
    assert paths(ann_api, batch, path_prefix=prefix) == [path for path in PATHS if path.startswith(prefix)]


@pytest.mark.parametrize("prefix", ["\U0010ffff", "￿", "\ud7ff", "a" * 1024, "'; DROP TABLE", "\\", "../"])
def test_a_prefix_at_the_edge_of_unicode_finds_nothing_and_does_no_harm(ann_api, batch, prefix):
    assert paths(ann_api, batch, path_prefix=prefix) == []


def test_prefix_and_status_go_together(ann_api, batch):
    found = listed(ann_api, batch, path_prefix="a", status="STORED")
    assert found
    assert all(file["path"].startswith("a") and file["status"] == "STORED" for file in found)


@pytest.mark.parametrize("query", ["path_prefix=%00", "path_prefix=" + "a" * 1025, "status=stored", "status=COMPLETE"])
def test_a_bad_filter_is_named(ann_api, batch, query):
    assert set(field_errors(ann_api.get(f"/batches/{batch['id']}/files?{query}"))) == {query.partition("=")[0]}


def test_a_prefix_that_is_no_utf_8_is_no_fault(ann_api, batch):
    assert ann_api.get(f"/batches/{batch['id']}/files?path_prefix=%ff%ED%A0%80").status_code in (200, 400)

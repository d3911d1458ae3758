"""The files of a batch by path: bytewise, in the same order on every database, as a range of one prefix."""

import pytest

from portal.models import IngestFile
from portal.services.batches import list_batch_files
from portal.services.pages import prefix_range
from tests.samples import make_batch

#: Neighbours of the surrogates, which are no characters, and of the end of Unicode; marks that sort around `/`.
PATHS = [
    "a",
    "a!",
    "a-b",
    "a/b",
    "a/b/c.txt",
    "a/é",
    "a0",
    "A/b",
    "ab",
    "z",
    "é",
    "é/x",
    "e\u0301/x",
    "ß",
    "ä/ö",
    "日本/語.txt",
    "\ud7ff",
    "\ud7ff/x",
    "\ue000",
    "\uffff",
    "\uffff/x",
    "😀",
    "😀/x",
    "😁",
    "\U0010ffff",
    "\U0010ffff\U0010ffff/x",
]
BYTEWISE = sorted(PATHS, key=str.encode)
PREFIXES = ["", "a", "a/", "A", "é", "e", "日", "\ud7ff", "\uffff", "😀", "\U0010ffff", "\U0010ffff\U0010ffff", "none"]


@pytest.fixture
def batch(ann):
    """A batch with a file on each of PATHS, and one without a path."""
    batch = make_batch(ann)
    described = {"owner": ann.user, "batch": batch, "size_bytes": 0, "original_filename": "x", "content_type": "x/y"}
    IngestFile.objects.bulk_create(IngestFile(path=path, **described) for path in [*PATHS, None])
    return batch


def paths(page):
    """Return the paths of a page, in its order."""
    return [row["path"] for row in page.rows]


def test_an_empty_prefix_lists_every_path_bytewise(batch):
    assert paths(list_batch_files(batch, ["path"], path_prefix="")) == BYTEWISE


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_lists_exactly_the_paths_that_start_with_it(batch, prefix):
    wanted = [path for path in BYTEWISE if path.startswith(prefix)]
    assert paths(list_batch_files(batch, ["path"], path_prefix=prefix)) == wanted


@pytest.mark.parametrize("prefix", ["", "a", "\uffff"])
def test_pages_by_path_leave_nothing_out_in_either_direction(batch, prefix):
    wanted = [path for path in BYTEWISE if path.startswith(prefix)]
    page, onwards = list_batch_files(batch, ["path"], path_prefix=prefix, limit=3), []
    while True:
        onwards += paths(page)
        if page.next is None:
            break
        page = list_batch_files(batch, ["path"], path_prefix=prefix, limit=3, cursor=page.next)
    backwards = paths(page)
    while page.previous is not None:
        page = list_batch_files(batch, ["path"], path_prefix=prefix, limit=3, cursor=page.previous)
        backwards = paths(page) + backwards
    assert (onwards, backwards) == (wanted, wanted)


def test_a_prefix_and_a_status_narrow_the_list_together(batch):
    IngestFile.objects.filter(path="a/b").update(status="FAILED")
    assert paths(list_batch_files(batch, ["path"], path_prefix="a", status="FAILED")) == ["a/b"]
    assert paths(list_batch_files(batch, ["path"], path_prefix="z", status="FAILED")) == []


def test_a_wildcard_of_the_database_is_a_plain_character(batch):
    assert paths(list_batch_files(batch, ["path"], path_prefix="%")) == []
    assert paths(list_batch_files(batch, ["path"], path_prefix="_")) == []


def test_the_range_of_a_prefix_never_ends_in_half_a_character():
    assert prefix_range("a") == ("a", "b")
    assert prefix_range("x\ud7ff") == ("x\ud7ff", "x\ue000")
    assert prefix_range("x\U0010ffff") == ("x\U0010ffff", "y")
    assert prefix_range("\U0010ffff\U0010ffff") == ("\U0010ffff\U0010ffff", None)
    assert prefix_range("") == ("", None)

"""Keyset pages: nothing twice and nothing left out, in both directions, whatever comes and goes meanwhile."""

import base64

import orjson
import pytest

from portal.exceptions import Invalid
from portal.models import UploadBatch
from portal.services.pages import read_page
from tests.samples import make_batch
from tests.services.situations import seen_queries

#: Fixed, for it is in the names of tests, which each process that runs them has to agree on.
SOME_ID = "45765a98-d153-4737-b7d5-df4d42bc4719"


@pytest.fixture
def names(ann):
    """The names of ten batches, oldest first."""
    return [make_batch(ann, name=f"b{number}").name for number in range(10)]


def page(**options):
    """Return a page of all batches, and the names on it."""
    read = read_page(UploadBatch.objects.all(), ["id", "name"], **options)
    return read, [row["name"] for row in read.rows]


def walk(direction, start=None, **options):
    """Return the pages from `start` on in a direction, as lists of names, and the last Page."""
    read, found = page(cursor=start, **options)
    pages = [found]
    while getattr(read, direction):
        read, found = page(cursor=getattr(read, direction), **options)
        pages.append(found)
    return pages, read


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 9, 10, 11])
def test_pages_hold_everything_once_in_order_and_back_again(names, newest_first, limit):
    wanted = names[::-1] if newest_first else names
    pages, last = walk("next", limit=limit, newest_first=newest_first)
    assert [name for found in pages for name in found] == wanted
    assert [len(found) for found in pages[:-1]] == [limit] * (len(pages) - 1)
    if last.previous is None:
        assert len(pages) == 1
        return
    back, first = walk("previous", last.previous, limit=limit, newest_first=newest_first)
    assert [*back[::-1], pages[-1]] == pages
    assert first.previous is None


def test_a_list_that_fits_on_one_page_has_no_neighbours(names):
    read, found = page(limit=10)
    assert (found, read.next, read.previous) == (names, None, None)


def test_an_empty_list_has_no_neighbours(db):
    read, found = page()
    assert (found, read.next, read.previous) == ([], None, None)


def test_rows_that_come_meanwhile_move_no_page(names, ann):
    read, _ = page(limit=4)
    make_batch(ann, name="new")
    read, found = page(limit=4, cursor=read.next)
    assert found == names[4:8]
    make_batch(ann, name="newer")
    assert page(limit=4, cursor=read.next)[1] == ["b8", "b9", "new", "newer"]
    assert page(limit=4, cursor=read.previous)[1] == names[:4]


def test_rows_that_come_meanwhile_do_not_show_again_on_pages_newest_first(names, ann):
    read, found = page(limit=4, newest_first=True)
    assert found == ["b9", "b8", "b7", "b6"]
    make_batch(ann, name="new")
    read, found = page(limit=4, newest_first=True, cursor=read.next)
    assert found == ["b5", "b4", "b3", "b2"]
    assert page(limit=4, newest_first=True, cursor=read.previous)[1] == ["b9", "b8", "b7", "b6"]


def test_rows_that_go_meanwhile_take_no_other_with_them(names):
    read, _ = page(limit=4)
    UploadBatch.objects.filter(name__in=["b3", "b4"]).delete()  # the last one seen among them
    read, found = page(limit=4, cursor=read.next)
    assert found == ["b5", "b6", "b7", "b8"]
    assert page(limit=4, cursor=read.previous)[1] == ["b0", "b1", "b2"]


def test_a_page_that_has_become_empty_has_no_neighbours(names):
    read, _ = page(limit=9)
    UploadBatch.objects.filter(name="b9").delete()
    read, found = page(limit=9, cursor=read.next)
    assert (found, read.next, read.previous) == ([], None, None)


def test_a_page_is_one_query_that_skips_nothing(names):
    read, _ = page(limit=4)
    with seen_queries() as queries:
        page(limit=4, cursor=read.next)
    assert len(queries) == 1
    assert "OFFSET" not in queries[0].upper()
    assert "COUNT" not in queries[0].upper()


def encoded(value):
    """Return a cursor with these contents."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!",
        "é",
        "\ud800",
        "a" * 2000,
        encoded([]),
        encoded({}),
        encoded(None),
        encoded(7),
        encoded("nid"),
        encoded(["n", "id"]),
        encoded(["n", "id", "not a uuid"]),
        encoded(["n", "id", 7]),
        encoded(["n", "id", None]),
        encoded(["x", "id", SOME_ID]),
        encoded([["n"], "id", SOME_ID]),
        encoded(["n", "path", "a"]),
        encoded(["n", "number", "1"]),
        encoded(["n", "id", SOME_ID, "more"]),
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(names, cursor):
    with pytest.raises(Invalid) as refused:
        page(cursor=cursor)
    assert [error["field"] for error in refused.value.extra["errors"]] == ["cursor"]


@pytest.mark.parametrize(
    ("key", "position"),
    [("number", "x"), ("number", "-1"), ("number", str(2**31)), ("number", "9" * 5000), ("path", "a\0")],
)
def test_a_position_that_the_column_cannot_hold_is_refused(db, key, position):
    with pytest.raises(Invalid):
        read_page(UploadBatch.objects.all(), ["id"], key=key, cursor=encoded(["n", key, position]))

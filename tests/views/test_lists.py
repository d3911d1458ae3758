"""Keyset pages over HTTP: followed by their own URLs to either end, each row once, whatever is filtered."""

import base64
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from portal.services.batches import create_batch
from tests.api import expect
from tests.samples import CHUNK, make_token
from tests.views.callers import ALL, make_callers, new_name
from tests.views.shapes import NOBODY, PAGE, field_errors, problem

LISTS = ["/batches", "/files", "/uploads/sessions", "/batches/{batch}/files", "/uploads/sessions/{session}/parts"]
#: JSON doubles each of these, and base64 makes it a third longer: the longest cursor there is.
LONGEST_PATH = '"' * 1024


@pytest.fixture(scope="module")
def carol(portal_server):
    """Somebody with seven of everything: batches, files and sessions in the first of them, parts in one session."""
    carol = make_callers(portal_server, carol=(new_name(), ALL, "active"))["carol"]
    batches = [carol.make_batch(name=f"n{n}") for n in range(7)]
    paths = [f"p/{n}" for n in range(6)] + [LONGEST_PATH]
    sessions = [carol.open_session(7 * CHUNK, batch_id=batches[0]["id"], path=path) for path in paths]
    carol.put_parts(sessions[0], b"x" * 7 * CHUNK)
    carol.ids = {"batch": batches[0]["id"], "session": sessions[0]["session_id"]}
    return carol


def get_page(api, url):
    """Return a page by its path or its absolute URL."""
    url = url.removeprefix(api.url)
    assert url.startswith("/")
    page = expect(200, api.get(url))
    assert set(page) == PAGE
    return page


def walk(api, page, way):
    """Return the pages from this one on, by their own `next` or `previous` URLs."""
    pages = [page]
    while pages[-1][way]:
        assert len(pages) < 50, "the pages go round in a circle"
        pages.append(get_page(api, pages[-1][way]))
    return pages


def rows(pages):
    """Return the rows of all pages, one after the other."""
    return [row for page in pages for row in page["results"]]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
@pytest.mark.parametrize(
    "path",
    [
        *LISTS,
        "/batches?status=INIT",
        "/files?batch=none",
        "/files?status=UPLOADING",
        "/uploads/sessions?status=INIT",
        "/batches/{batch}/files?path_prefix=",
        "/batches/{batch}/files?path_prefix=p%2F&status=UPLOADING",
    ],
)
def test_pages_lead_to_the_end_and_back_with_each_row_once(carol, path, limit):
    path = path.format(**carol.ids)
    whole = get_page(carol, path)
    assert (whole["next"], whole["previous"]) == (None, None)
    join = "&" if "?" in path else "?"
    forwards = walk(carol, get_page(carol, f"{path}{join}limit={limit}"), "next")
    assert rows(forwards) == whole["results"]
    assert all(len(page["results"]) == limit for page in forwards[:-1])
    assert forwards[0]["previous"] is None
    backwards = walk(carol, forwards[-1], "previous")
    assert rows(reversed(backwards)) == whole["results"]


def test_the_neighbours_urls_are_absolute_and_keep_filters_and_limit(carol):
    batch = carol.ids["batch"]
    url = get_page(carol, f"/batches/{batch}/files?path_prefix=p%2F&status=UPLOADING&limit=2&x=%26")["next"]
    assert url.startswith(f"{carol.url}/batches/{batch}/files?")
    query = parse_qs(urlsplit(url).query)
    assert query.pop("cursor")
    assert query == {"path_prefix": ["p/"], "status": ["UPLOADING"], "limit": ["2"], "x": ["&"]}


def test_a_page_does_not_lose_its_place_when_its_row_is_deleted(carol):
    files = [carol.store(b"") for _ in range(3)]
    page = get_page(carol, "/files?limit=1&batch=none")
    assert page["results"][0]["id"] == files[2]["id"]
    for file in files[1:]:
        expect(204, carol.delete(f"/files/{file['id']}"))
    page = get_page(carol, page["next"])
    assert [row["id"] for row in page["results"]] == [files[0]["id"]]
    expect(204, carol.delete(f"/files/{files[0]['id']}"))


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1.5", "1e2", "", "%00", "9" * 30, "9" * 2000, "NaN"])
def test_a_limit_is_a_number_from_1_to_1000(carol, path, limit):
    path = path.format(**carol.ids)
    assert set(field_errors(carol.get(f"{path}?limit={limit}"))) == {"limit"}


@pytest.mark.parametrize("limit", ["1_0", "%D9%A1", "%2B5", "5.0", "%205"])
def test_a_limit_is_written_in_plain_digits(carol, limit):
    assert set(field_errors(carol.get(f"/batches?limit={limit}"))) == {"limit"}


@pytest.mark.parametrize("path", LISTS)
def test_the_bounds_of_a_limit_are_within_it(carol, path):
    path = path.format(**carol.ids)
    assert len(get_page(carol, f"{path}?limit=1")["results"]) == 1
    assert get_page(carol, f"{path}?limit=1000") == get_page(carol, path)


@pytest.mark.parametrize("query", ["status=X", "status=", "status=init", "status=STORED%00", "batch=", "batch=x"])
def test_a_filter_takes_its_own_words_alone(carol, query):
    path = "/files" if query.startswith("batch") else "/batches"
    assert set(field_errors(carol.get(f"{path}?{query}"))) == {query.partition("=")[0]}


def test_the_words_that_a_filter_takes_are_named(carol):
    (error,) = problem(carol.get("/batches?status=DONE"), 400, "invalid", "errors")["errors"]
    assert error["detail"].startswith('"DONE" is not a valid choice; there are: INIT, IN_PROGRESS, COMPLETE, ')


@pytest.mark.parametrize("text", ["%FF", "a%E9", "%ED%A0%80", "%C3"])
def test_a_value_that_is_no_utf_8_is_refused_and_not_read_as_another(carol, text):
    batch = expect(201, carol.post("/batches", {}))["id"]
    for query in (f"path_prefix={text}", f"limit=1&path_prefix={text}&status=STORED"):
        assert set(field_errors(carol.get(f"/batches/{batch}/files?{query}"))) == {"path_prefix"}
    assert set(field_errors(carol.get(f"/files?status={text}"))) == {"status"}
    get_page(carol, f"/batches/{batch}/files?path_prefix=%EF%BF%BD%C3%A9+a&other={text}")


def cursor_of(*members):
    """Return a cursor that looks like one of the portal's own."""
    return base64.urlsafe_b64encode(orjson.dumps(members)).decode().rstrip("=")


BAD_CURSORS = ["", "x", "AAAA", "%00", "%ff%fe", "💥", "a b", "*", "=", "A" * 4097, "%E9"]
BAD_CURSORS += [
    base64.urlsafe_b64encode(text).decode()
    for text in (b"null", b"5", b"[]", b"{}", b'"abc"', b"[" * 500, b"\xff\xff", b'["n","id"]', b'["n","id",5]')
]
BAD_CURSORS += [cursor_of("n", "id", "5"), cursor_of("x", "id", NOBODY), cursor_of([], "id", NOBODY)]
BAD_CURSORS += [cursor_of("n", "owner_id", "1"), cursor_of("n", "number", "-1"), cursor_of("n", "number", "1e3")]
BAD_CURSORS += [cursor_of("n", "number", "9" * 19), cursor_of("n", "number", "9" * 2000), cursor_of("n", "path", "\0")]
BAD_CURSORS += [cursor_of("n", "id", f"{NOBODY}\0"), cursor_of("n", "id", NOBODY, "more")]


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_a_cursor_that_no_list_gave_is_refused(carol, cursor):
    for path in LISTS:
        assert set(field_errors(carol.get(f"{path.format(**carol.ids)}?cursor={cursor}"))) == {"cursor"}


def test_a_cursor_cut_short_is_refused(carol):
    cursor = parse_qs(urlsplit(get_page(carol, "/batches?limit=1")["next"]).query)["cursor"][0]
    for length in (1, len(cursor) // 2, len(cursor) - 1):
        problem(carol.get(f"/batches?cursor={cursor[:length]}"), 400, "invalid", "errors")


def test_the_cursor_of_a_list_in_another_order_is_refused(carol):
    files = f"/batches/{carol.ids['batch']}/files"
    paths = {"id": files, "path": f"{files}?path_prefix=", "number": f"/uploads/sessions/{carol.ids['session']}/parts"}
    cursors = {}
    for key, path in paths.items():
        page = get_page(carol, f"{path}{'&' if '?' in path else '?'}limit=1")
        cursors[key] = parse_qs(urlsplit(page["next"]).query)["cursor"][0]
    for key, path in paths.items():
        for other in cursors.keys() - {key}:
            response = carol.get(f"{path}{'&' if '?' in path else '?'}cursor={cursors[other]}")
            assert set(field_errors(response)) == {"cursor"}


def test_urls_are_those_of_the_public_address_where_it_is_set(client, ann, settings):
    settings.PORTAL_PUBLIC_URL = "https://portal.example.org"
    for _ in range(2):
        create_batch(ann)
    page = client.get("/batches?limit=1", headers={"authorization": f"Bearer {make_token(ann)}"}).json()
    assert page["next"].startswith("https://portal.example.org/batches?limit=1&cursor=")

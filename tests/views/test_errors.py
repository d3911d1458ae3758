"""Paths that are not there, methods that a path lacks, faults: all are told as problems, none as pages."""

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError
from django.urls import get_resolver

from portal.services import batches
from tests.api import Api, expect
from tests.samples import make_token
from tests.views.shapes import NOBODY, problem

JSON_ROUTES = ["/batches", f"/batches/{NOBODY}", f"/batches/{NOBODY}/files", "/files", f"/files/{NOBODY}", "/limits"]
JSON_ROUTES += ["/uploads/sessions", f"/uploads/sessions/{NOBODY}", f"/uploads/sessions/{NOBODY}/parts"]
JSON_ROUTES += [f"/uploads/sessions/{NOBODY}/finalize", "/healthz", "/readyz"]


@pytest.mark.parametrize("path", [f"{route}/" for route in JSON_ROUTES])
def test_a_trailing_slash_is_another_path(ann_api, path):
    problem(ann_api.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/batches/1",
        "/batches/not-a-uuid",
        f"/batches/{NOBODY}/nothing",
        f"/batches/{NOBODY[:-1]}",
        f"/files/{NOBODY}0",
        f"/files/{{{NOBODY}}}",
        "/uploads",
        "/uploads/sessions/%2e%2e/%2e%2e",
        "/batches/%00",
        "/batches/%ff%fe",
        "/batches/%ED%A0%80",
        "/" + "a" * 5000,
        "//batches",
        "/BATCHES",
    ],
)
def test_an_unknown_path_is_a_problem_for_everybody(ann_api, portal_server, path):
    for api in (ann_api, Api(portal_server.url)):
        problem(api.get(path), 404, "not_found")


@pytest.mark.parametrize("path", JSON_ROUTES)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "LINK"])
def test_a_method_that_a_path_lacks_is_405_and_told_which_it_has(ann_api, path, method):
    response = ann_api.call(method, path)
    problem(response, 405, "method_not_allowed")
    allowed = set(response.headers["Allow"].split(", "))
    assert method not in allowed
    assert "OPTIONS" in allowed
    assert ann_api.call("OPTIONS", path).headers["Allow"] == response.headers["Allow"]


def test_the_pages_of_the_api_tell_a_wrong_method_as_a_problem_too(ann_api):
    for path in ("/docs", "/schema"):
        problem(ann_api.call("PATCH", path), 405, "method_not_allowed")
    problem(ann_api.call("OPTIONS", "/docs"), 405, "method_not_allowed")


def test_head_is_get_without_its_body(ann_api):
    batch = ann_api.make_batch()
    for path in (
        f"/batches/{batch['id']}",
        "/limits",
        "/healthz",
        f"/batches/{NOBODY}",
        "/batches?limit=0",
        "/nothing",
    ):
        head, get = ann_api.call("HEAD", path), ann_api.get(path)
        assert head.content == b""
        assert head.status_code == get.status_code
        for name in ("Content-Type", "X-Content-Type-Options", "Content-Security-Policy", "Allow"):
            assert head.headers.get(name) == get.headers.get(name)


def test_options_says_what_a_path_takes_and_needs_to_know_who_asks(ann_api, portal_server):
    response = ann_api.call("OPTIONS", "/batches")
    assert response.status_code == 200
    assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
    problem(Api(portal_server.url).call("OPTIONS", "/batches"), 401, "not_authenticated")


def test_a_host_that_is_not_ours_is_refused(ann_api):
    for path in ("/batches", "/limits", f"/files/{NOBODY}/content", "/docs", "/login"):
        problem(ann_api.get(path, headers={"Host": "evil.example"}), 400, "invalid_host")


def test_a_query_of_nonsense_on_the_pages_does_no_harm(ann_api):
    for path in ("/schema", "/docs", "/login", "/admin/login/"):
        for query in ("?%00", "?format=xml", "?lang=%ff", "?version=../../x", "?next=//evil.example", "?script=1"):
            assert ann_api.get(path + query, allow_redirects=False).status_code in (200, 404)


def test_every_answer_carries_the_security_headers_and_a_request_id(ann_api):
    for path in ("/batches", "/nothing", "/healthz"):
        headers = ann_api.get(path, headers={"X-Request-Id": "the-one"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Request-Id"] == "the-one"


def test_a_problem_can_be_read_by_who_accepts_anything_else(ann_api):
    for accept in ("text/html", "image/png", "application/xml;q=0.1", ";;;", ""):
        problem(ann_api.get("/nothing", headers={"Accept": accept}), 404, "not_found")
        assert expect(200, ann_api.get("/limits", headers={"Accept": accept}))


def test_a_fault_that_nobody_named_is_a_500_that_tells_nothing(client, ann, monkeypatch, settings):
    monkeypatch.setattr(batches.access, "get_batch", lambda *_: 1 / 0)
    client.raise_request_exception = False
    response = client.get(f"/batches/{NOBODY}", headers={"authorization": f"Bearer {make_token(ann)}"})
    assert "division" not in problem(response, 500, "internal_error")["detail"]


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError, DatabaseError])
def test_a_database_that_does_not_answer_is_503_with_retry_after(client, ann, monkeypatch, kind):
    def fail(*_):
        # SQLite calls a file whose disk has just failed "malformed", which is no kind of its own.
        raise kind("gone")

    token = make_token(ann)
    monkeypatch.setattr(batches.access, "get_batch", fail)
    response = client.get(f"/batches/{NOBODY}", headers={"authorization": f"Bearer {token}"})
    problem(response, 503, "database_unavailable")
    assert int(response.headers["Retry-After"]) > 0


def test_the_handlers_of_django_are_ours():
    for status in (400, 403, 404, 500):
        assert get_resolver().resolve_error_handler(status).__module__ == "portal.views.errors"

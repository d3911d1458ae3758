"""Endpoints over HTTP: made with their secret, shown without it, given a new one, deleted."""

import uuid

import pytest

from tests.api import expect
from tests.routes import ENDPOINT
from tests.views.callers import make_callers, new_name
from tests.views.shapes import PAGE, field_errors, problem

MEMBERS = {"id", "url", "event_types", "status", "created_at"}


def test_an_endpoint_is_made_with_its_secret_and_shown_without_it(ann_api):
    made = expect(201, response := ann_api.post("/endpoints", {"url": ENDPOINT, "event_types": ["file.failed"]}))
    assert response.headers["Location"] == f"/endpoints/{made['id']}"
    assert response.headers["Cache-Control"] == "no-store"
    assert made.pop("secret").startswith("whsec_")
    assert set(made) == MEMBERS
    assert (made["url"], made["event_types"], made["status"]) == (ENDPOINT, ["file.failed"], "ENABLED")
    assert expect(200, ann_api.get(f"/endpoints/{made['id']}")) == made
    listed = expect(200, ann_api.get("/endpoints?limit=1"))
    assert set(listed) == PAGE
    assert listed["results"] == [made]
    expect(204, ann_api.delete(f"/endpoints/{made['id']}"))
    problem(ann_api.get(f"/endpoints/{made['id']}"), 404, "not_found")


def test_a_repeat_with_its_key_is_the_same_answer_with_the_secret_that_is_kept_nowhere(ann_api, portal_server):
    options = {"headers": {"Idempotency-Key": f"endpoint-{uuid.uuid4()}"}}
    made = expect(201, ann_api.post("/endpoints", {"url": ENDPOINT}, **options))
    again = ann_api.post("/endpoints", {"url": ENDPOINT}, **options)
    assert expect(200, again) == made
    assert (again.headers["Idempotent-Replayed"], again.headers["Cache-Control"]) == ("true", "no-store")
    code = "from portal.models import IdempotencyKey as K; print(*K.objects.values_list('answer', flat=True))"
    kept = portal_server.command("shell", "--no-imports", "-c", code)
    assert made["id"] in kept
    assert made["secret"] not in kept
    expect(204, ann_api.delete(f"/endpoints/{made['id']}"))


def test_a_new_secret_is_given_once_and_again_to_who_asks_again(ann_api):
    made = expect(201, ann_api.post("/endpoints", {"url": ENDPOINT}))
    path = f"/endpoints/{made['id']}/rotate"
    first = ann_api.post(path)
    assert first.headers["Cache-Control"] == "no-store"
    rotated = expect(200, first)
    assert rotated["secret"] not in (None, made["secret"])
    assert rotated["old_secret_until"]
    assert expect(200, ann_api.post(path)) == rotated
    expect(204, ann_api.delete(f"/endpoints/{made['id']}"))


def test_its_owner_enables_it_again_after_it_was_gone(ann_api, portal_server):
    made = expect(201, ann_api.post("/endpoints", {"url": ENDPOINT}))
    made.pop("secret")
    path = f"/endpoints/{made['id']}"
    code = f"from portal.models import Endpoint as E; disable_endpoint(E.objects.get(pk={made['id']!r}))"
    portal_server.command("shell", "--no-imports", "-c", f"from portal.services.endpoints import *; {code}")
    assert expect(200, ann_api.get(path))["status"] == "DISABLED"
    for _ in range(2):
        assert expect(200, ann_api.post(f"{path}/enable")) == made
    assert expect(200, ann_api.get(path)) == made
    expect(204, ann_api.delete(path))


@pytest.mark.parametrize("call", ["enable", "rotate"])
def test_a_body_that_is_not_json_is_400_here_too(ann_api, call):
    made = expect(201, ann_api.post("/endpoints", {"url": ENDPOINT}))
    options = {"data": b"{", "headers": {"Content-Type": "application/json"}}
    problem(ann_api.call("POST", f"/endpoints/{made['id']}/{call}", **options), 400, "invalid")
    expect(204, ann_api.delete(f"/endpoints/{made['id']}"))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"url": "required"}),
        ({"url": None}, {"url": "null"}),
        ({"url": "ftp://1.1.1.1/"}, {"url": "invalid"}),
        ({"url": "https://u:p@1.1.1.1/"}, {"url": "invalid"}),
        ({"url": "http://127.0.0.1/"}, {"url": "address_refused"}),
        ({"url": "http://[::ffff:10.0.0.1]/"}, {"url": "address_refused"}),
        ({"url": "http://localhost:8000/"}, {"url": "address_refused"}),
        ({"url": "https://1.1.1.1/" + "x" * 2048}, {"url": "max_length"}),
        ({"url": ENDPOINT, "event_types": ["file.stored"]}, {"event_types.0": "invalid_choice"}),
    ],
)
def test_what_cannot_be_called_or_heard_is_refused_by_field(ann_api, body, fields):
    assert field_errors(ann_api.post("/endpoints", body)) == fields


def test_one_may_have_twenty(portal_server):
    name = new_name("owner")
    api = make_callers(portal_server, owner=(name, ("upload", "read", "delete"), "active"))["owner"]
    for _ in range(20):
        expect(201, api.post("/endpoints", {"url": ENDPOINT}))
    problem(api.post("/endpoints", {"url": ENDPOINT}), 409, "too_many_endpoints")

"""Idempotency-Key over HTTP: the same POST again makes nothing new and gets the first answer's body."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api import Api, expect
from tests.views.callers import ALL, make_callers, new_name
from tests.views.shapes import field_errors, problem

SESSION = {"original_filename": "a.bin", "total_size_bytes": 1}
ROUTES = [("/batches", {"name": "once", "metadata": {"bb": 1, "a": [None]}}), ("/uploads/sessions", SESSION)]


@pytest.fixture
def key():
    """A key that nobody has used."""
    return secrets.token_hex(8)


def post(api, path, body, key):
    """POST with an Idempotency-Key."""
    return api.post(path, body, headers={"Idempotency-Key": key})


def replayed(response):
    """Return the body of an answer that was given before."""
    body = expect(200, response)
    assert response.headers["Idempotent-Replayed"] == "true"
    return body


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_the_same_post_again_gets_the_first_body_and_makes_nothing(portal_server, path, body, key):
    carol = make_callers(portal_server, carol=(new_name(), ALL, "active"))["carol"]
    first = post(carol, path, body, key)
    assert "Idempotent-Replayed" not in first.headers
    for _ in range(2):
        again = post(carol, path, body, key)
        assert replayed(again) == expect(201, first)
        assert again.content == first.content
    assert len(expect(200, carol.get(path))["results"]) == 1


def test_the_first_body_is_given_again_after_the_object_has_moved_on(ann_api, key):
    session = expect(201, post(ann_api, "/uploads/sessions", SESSION, key))
    ann_api.put_parts(session, b"x")
    expect(200, ann_api.finalize(session))
    assert replayed(post(ann_api, "/uploads/sessions", SESSION, key)) == session
    expect(204, ann_api.delete(f"/files/{session['file_id']}"))
    assert replayed(post(ann_api, "/uploads/sessions", SESSION, key)) == session


def test_the_order_and_the_spelling_of_the_json_are_no_other_payload(ann_api, key):
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    first = expect(201, ann_api.call("POST", "/batches", data=b'{"name":"a","metadata":{"x":1}}', headers=headers))
    again = ann_api.call("POST", "/batches", data=b'{ "metadata": {"x" : 1}, "name": "\\u0061" }', headers=headers)
    assert replayed(again) == first


@pytest.mark.parametrize("other", [{"name": "b"}, {}, {"name": "a", "metadata": {"x": 1}}, {"name": "a", "extra": 1}])
def test_another_payload_is_422(ann_api, other, key):
    expect(201, post(ann_api, "/batches", {"name": "a"}, key))
    problem(post(ann_api, "/batches", other, key), 422, "idempotency_key_reused")


def test_another_path_is_422(ann_api, key):
    body = SESSION | {"name": "both take it"}
    expect(201, post(ann_api, "/batches", body, key))
    problem(post(ann_api, "/uploads/sessions", body, key), 422, "idempotency_key_reused")


def test_a_key_is_its_callers_own(ann_api, bob_api, key):
    mine, his = (expect(201, post(api, "/batches", {}, key)) for api in (ann_api, bob_api))
    assert mine["id"] != his["id"]


def test_a_key_belongs_to_the_person_not_to_the_token(portal_server, ann_api, key):
    second = Api(portal_server.url, portal_server.create_token("ann"))
    batch = expect(201, post(ann_api, "/batches", {}, key))
    assert replayed(post(second, "/batches", {}, key)) == batch


def test_the_key_may_stand_in_the_body(ann_api, key):
    batch = expect(201, ann_api.post("/batches", {"name": "a", "idempotency_key": key}))
    assert replayed(ann_api.post("/batches", {"name": "a", "idempotency_key": key})) == batch
    assert replayed(post(ann_api, "/batches", {"name": "a"}, key)) == batch
    assert replayed(post(ann_api, "/batches", {"name": "a", "idempotency_key": key}, key)) == batch
    problem(ann_api.post("/batches", {"name": "b", "idempotency_key": key}), 422, "idempotency_key_reused")


def test_a_header_and_a_body_field_that_differ_are_400(ann_api, key):
    response = post(ann_api, "/batches", {"idempotency_key": key + "x"}, key)
    assert field_errors(response) == {"idempotency_key": "differs"}


@pytest.mark.parametrize("value", ["", "x" * 256, "a\tb", "a\nb", "\u200b", 5, True, 1.5, [], {}, ["a"], {"a": 1}])
@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_a_key_in_the_body_is_1_to_255_printable_characters(ann_api, path, body, value):
    assert field_errors(ann_api.post(path, body | {"idempotency_key": value})) == {"idempotency_key": "invalid"}


def test_a_key_in_the_header_is_1_to_255_printable_characters(ann_api, key):
    for bad in ("", "x" * 256, "a\tb", b"\x80\xff"):
        assert field_errors(post(ann_api, "/batches", {}, bad)) == {"idempotency_key": "invalid"}
    for good in ((key * 16)[:255], f"{key} \"',;é", f"{key}/../"):
        expect(201, post(ann_api, "/batches", {}, good.encode("latin-1")))


def test_a_key_that_is_null_is_none(ann_api):
    first, second = (expect(201, ann_api.post("/batches", {"idempotency_key": None})) for _ in range(2))
    assert first["id"] != second["id"]


def test_an_error_is_not_kept(ann_api, key):
    problem(post(ann_api, "/batches", {"name": 5}, key), 400, "invalid", "errors")
    expect(201, post(ann_api, "/batches", {"name": "a"}, key))


def test_an_error_of_a_service_gives_the_key_back(ann_api, key):
    batch = ann_api.make_batch()
    held = ann_api.open_session(1, batch_id=batch["id"], path="a")
    body = SESSION | {"batch_id": batch["id"], "path": "a"}
    for _ in range(2):
        problem(post(ann_api, "/uploads/sessions", body, key), 409, "path_taken")
    expect(204, ann_api.delete(f"/uploads/sessions/{held['session_id']}"))
    session = expect(201, post(ann_api, "/uploads/sessions", body, key))
    assert replayed(post(ann_api, "/uploads/sessions", body, key)) == session


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_at_once_they_make_one_object(portal_server, path, body):
    clients = 8
    carol = make_callers(portal_server, carol=(new_name(), ALL, "active"))["carol"]
    barrier = threading.Barrier(clients, timeout=30)
    for n in range(5):

        def send(_, n=n):
            api = Api(carol.url, carol.token)
            barrier.wait()
            with api.session:
                return post(api, path, body, f"at-once-{n}")

        with ThreadPoolExecutor(clients) as pool:
            responses = list(pool.map(send, range(clients)))
        made = [response.json() for response in responses if response.status_code == 201]
        assert len(made) == 1
        for response in responses:
            if response.status_code == 409:
                problem(response, 409, "idempotency_in_progress")
                assert int(response.headers["Retry-After"]) > 0
            elif response.status_code != 201:
                assert replayed(response) == made[0]
        assert len(expect(200, carol.get(path))["results"]) == n + 1


@pytest.fixture
def declaring(ann_api):
    """The path where files of a new batch are declared."""
    return f"/batches/{ann_api.make_batch()['id']}/files"


@pytest.mark.parametrize("options", [{}, {"open_sessions": True}])
def test_declared_files_are_answered_once_for_each_key(ann_api, declaring, key, options):
    body = {"files": [{"path": "a", "total_size_bytes": 1}, {"path": "../b", "total_size_bytes": 1}], **options}
    first = post(ann_api, declaring, body, key)
    assert "Idempotent-Replayed" not in first.headers
    first = expect(200, first)
    assert [result["action"] for result in first["results"]] == ["upload", "rejected"]
    assert replayed(post(ann_api, declaring, body, key)) == first
    assert replayed(ann_api.post(declaring, body | {"idempotency_key": key})) == first
    problem(post(ann_api, declaring, body | {"other": 1}, key), 422, "idempotency_key_reused")


def test_what_is_wrong_with_a_key_is_told_before_anything_is_declared(ann_api, declaring, key):
    body = {"files": [{"path": "a", "total_size_bytes": 1}]}
    assert field_errors(post(ann_api, declaring, body, "")) == {"idempotency_key": "invalid"}
    assert field_errors(ann_api.post(declaring, body | {"idempotency_key": 5})) == {"idempotency_key": "invalid"}
    problem(post(ann_api, declaring, {"files": []}, key), 400, "invalid", "errors")
    assert expect(200, ann_api.get(declaring))["results"] == []
    expect(200, post(ann_api, declaring, body, key))

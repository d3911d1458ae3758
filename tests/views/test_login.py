"""Logged-in browsers: through /login with CSRF, with the owner's scopes, and throttled when they guess."""

import re

import pytest
from django.contrib.auth import get_user_model

from portal.services.batches import create_batch
from tests.api import Api, expect
from tests.samples import make_caller, make_token
from tests.views.callers import new_name
from tests.views.shapes import problem

PASSWORD = "correct horse battery staple"


@pytest.fixture
def browser(client, ann):
    """Ann's browser, not logged in yet, that checks CSRF as a real server does."""
    ann.user.set_password(PASSWORD)
    ann.user.save()
    client.handler.enforce_csrf_checks = True
    return client


def read_form(browser, path="/login"):
    """Return the CSRF token of the form at `path`."""
    page = browser.get(path)
    assert page.status_code == 200
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())[1]


def log_in(browser, password=PASSWORD, username="ann", path="/login", **fields):
    """Fill in the form and send it."""
    fields |= {"username": username, "password": password, "csrfmiddlewaretoken": read_form(browser, path)}
    return browser.post(path, fields)


def test_a_login_leads_to_the_docs_and_opens_the_api(browser, ann):
    batch = create_batch(ann, name="mine")
    response = log_in(browser)
    assert (response.status_code, response["Location"]) == (302, "/docs")
    assert browser.get(f"/batches/{batch.pk}").json()["name"] == "mine"


def test_a_wrong_password_opens_nothing_and_does_not_say_what_was_wrong(browser):
    answers = {log_in(browser, password="wrong").content.decode().count("do not match")}
    answers |= {log_in(browser, username="nobody").content.decode().count("do not match")}
    assert answers == {1}
    problem(browser.get("/batches"), 401, "not_authenticated")


def test_the_form_without_its_csrf_token_is_403(browser):
    problem(browser.post("/login", {"username": "ann", "password": PASSWORD}), 403, "csrf_failed")
    problem(browser.get("/batches"), 401, "not_authenticated")


@pytest.mark.parametrize("path", ["/login", "/admin/login/"])
@pytest.mark.parametrize(
    "fields", [{"username": "x" * 3000}, {"username": "a\0"}, {"password": "x" * 100_000}, {"next": "/\0"}, {"x": "\0"}]
)
def test_an_odd_login_is_refused_like_any_other(browser, path, fields):
    assert log_in(browser, **({"password": "wrong"} | fields), path=path).status_code == 200
    assert log_in(browser).status_code == 302


def test_a_login_leads_nowhere_else(browser):
    for target in ("//evil.example/", "https://evil.example/", "javascript:alert(1)", "\\\\evil.example"):
        assert log_in(browser, next=target)["Location"] == "/docs"
    assert log_in(browser, next="/admin/")["Location"] == "/admin/"


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(browser):
    log_in(browser)
    cookie = browser.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/batches"),
        ("post", "/uploads/sessions"),
        ("delete", "/files/01890000-0000-7000-8000-000000000000"),
        ("delete", "/uploads/sessions/01890000-0000-7000-8000-000000000000"),
        ("post", "/uploads/sessions/01890000-0000-7000-8000-000000000000/finalize"),
    ],
)
def test_what_changes_something_needs_the_csrf_token(browser, method, path):
    log_in(browser)
    send = getattr(browser, method)
    problem(send(path, "{}", content_type="application/json"), 403, "csrf_failed")
    problem(send(path, "{}", content_type="application/json", headers={"X-CSRFToken": "x" * 32}), 403, "csrf_failed")
    token = browser.cookies["csrftoken"].value
    response = send(path, "{}", content_type="application/json", headers={"X-CSRFToken": token})
    assert response.status_code in (201, 400, 404)


def test_a_token_needs_no_csrf_token_even_beside_a_session(browser, bob):
    log_in(browser)
    headers = {"authorization": f"Bearer {make_token(bob)}"}
    batch = browser.post("/batches", "{}", content_type="application/json", headers=headers)
    assert batch.status_code == 201
    # It was the token's caller who made it, not the session's.
    problem(browser.get(f"/batches/{batch.json()['id']}"), 404, "not_found")


def test_a_session_has_the_owners_scopes_but_never_service(browser, ann, bob):
    create_batch(bob)
    get_user_model().objects.filter(pk=ann.user.pk).update(is_staff=True, is_superuser=True)
    log_in(browser)
    assert browser.get("/batches").json()["results"] == []
    assert browser.get("/files").json()["results"] == []


def test_a_user_who_is_no_longer_active_is_out_at_once(browser, ann):
    log_in(browser)
    assert browser.get("/batches").status_code == 200
    get_user_model().objects.filter(pk=ann.user.pk).update(is_active=False)
    problem(browser.get("/batches"), 401, "not_authenticated")
    assert log_in(browser).status_code == 200  # the form again


def test_logging_out_ends_the_session(browser):
    log_in(browser)
    problem(browser.post("/logout"), 403, "csrf_failed")
    assert browser.get("/batches").status_code == 200
    response = browser.post("/logout", {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value})
    assert (response.status_code, response["Location"]) == (302, "/login")
    problem(browser.get("/batches"), 401, "not_authenticated")


@pytest.mark.parametrize("path", ["/login", "/admin/login/"])
def test_ten_failed_logins_lock_the_name_for_a_while(browser, path):
    statuses = [log_in(browser, password="wrong", path=path).status_code for _ in range(9)]
    assert statuses == [200] * 9
    for password in ("wrong", PASSWORD):  # the right one no longer helps, at either door
        for door in ("/login", "/admin/login/"):
            response = log_in(browser, password=password, path=door)
            problem(response, 429, "too_many_requests")
            assert 0 < int(response["Retry-After"]) <= 15 * 60
    problem(browser.get("/batches"), 401, "not_authenticated")


def test_a_lock_is_for_one_name_at_one_address(browser):
    make_caller("dora")
    for _ in range(10):
        log_in(browser, username="dora", password="wrong")
    problem(log_in(browser, username="dora", password="wrong"), 429, "too_many_requests")
    assert log_in(browser).status_code == 302


def test_a_browser_stores_a_file_at_the_running_server_through_both_doors(portal_server):
    name = new_name("eve")
    code = "from django.contrib.auth import get_user_model as m; m().objects.create_user({!r}, password={!r})"
    portal_server.manage("shell", "--no-imports", "-c", code.format(name, PASSWORD))
    api = Api(portal_server.url)
    form = api.get("/login")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[1]
    fields = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": token}
    assert api.call("POST", "/login", data=fields, allow_redirects=False).headers["Location"] == "/docs"

    problem(api.post("/batches", {}), 403, "csrf_failed")
    api.session.headers["X-CSRFToken"] = api.session.cookies["csrftoken"]
    session = api.open_session(1)
    del api.session.headers["X-CSRFToken"]
    problem(api.put_part(session, 1, b"x"), 403, "csrf_failed")
    api.session.headers["X-CSRFToken"] = api.session.cookies["csrftoken"]
    api.put_parts(session, b"x")
    file = expect(200, api.finalize(session))
    assert api.get(f"/files/{file['id']}/content").content == b"x"

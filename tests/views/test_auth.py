"""Who asks: bearer tokens, good and bad, at both doors alike; and that no token reaches a log."""

import pytest

from tests.api import Api, expect
from tests.views.callers import make_callers, new_name
from tests.views.shapes import NOBODY, problem

#: One call of each door.
DOORS = [("GET", "/batches"), ("POST", "/batches"), ("GET", f"/files/{NOBODY}/content")]
DOORS += [("PUT", f"/uploads/sessions/{NOBODY}/parts/1")]


@pytest.fixture(scope="module")
def ended(portal_server):
    """Callers whose tokens open nothing any more."""
    wanted = {state: (new_name(state), ["upload", "read"], state) for state in ("revoked", "expired", "inactive")}
    return make_callers(portal_server, **wanted)


def refused(response, code="not_authenticated"):
    """Check a 401 with its challenge; return its members."""
    members = problem(response, 401, code)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    return members


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_nobody_is_401_with_a_challenge(portal_server, method, path):
    refused(Api(portal_server.url).call(method, path, data=b""))


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer ptl_" + "A" * 43,
        "Bearer ptl_" + "A" * 10_000,
        "Bearer a b",
        "Bearer \xff\xfe",
        "Basic YW5uOnNlY3JldA==",
        "Token abc",
        "bearer",
        "abc",
        "Bearer %00",
    ],
)
def test_garbage_is_401(portal_server, method, path, header):
    api = Api(portal_server.url)
    refused(api.call(method, path, data=b"", headers={"Authorization": header.encode("latin-1")}))


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize("state", ["revoked", "expired", "inactive"])
def test_a_token_that_has_ended_is_401(ended, method, path, state):
    refused(ended[state].call(method, path, data=b""))


def test_a_token_that_has_expired_is_told_so_to_who_holds_it(ended):
    assert "expired" in refused(ended["expired"].get("/batches"))["detail"]


def test_the_word_bearer_is_taken_in_any_case(portal_server, ann_api):
    for word in ("bearer", "BEARER", "Bearer "):
        headers = {"Authorization": f"{word} {ann_api.token}"}
        expect(200, Api(portal_server.url).get("/limits", headers=headers))


def test_a_token_that_was_cut_or_changed_is_401(portal_server, ann_api):
    token = ann_api.token
    for text in (token[:-1], token + "A", token[:-1] + ("A" if token[-1] != "A" else "B"), token.upper(), token[4:]):
        refused(Api(portal_server.url, text).get("/limits"))


def test_a_token_is_not_taken_from_the_query_or_a_cookie(portal_server, ann_api):
    nobody, token = Api(portal_server.url), ann_api.token
    for query in (f"access_token={token}", f"token={token}", f"authorization=Bearer+{token}"):
        refused(nobody.get(f"/limits?{query}"))
    refused(nobody.get("/limits", headers={"Cookie": f"token={token}; sessionid={token}"}))


def test_two_authorization_headers_are_401(portal_server, ann_api):
    refused(Api(portal_server.url).get("/limits", headers={"Authorization": f"Bearer {ann_api.token},Bearer x"}))


def test_a_revoked_token_is_refused_from_the_next_request_on(portal_server):
    token = portal_server.create_token("dora")
    api = Api(portal_server.url, token)
    expect(200, api.get("/limits"))
    assert portal_server.command("revoke_token", token).strip() == "revoked=1"
    refused(api.get("/limits"))


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("upload", "POST", "/batches"),
        ("upload", "POST", "/uploads/sessions"),
        ("upload", "POST", f"/uploads/sessions/{NOBODY}/finalize"),
        ("upload", "DELETE", f"/uploads/sessions/{NOBODY}"),
        ("upload", "PUT", f"/uploads/sessions/{NOBODY}/parts/1"),
        ("read", "GET", "/batches"),
        ("read", "GET", f"/batches/{NOBODY}"),
        ("read", "GET", f"/batches/{NOBODY}/files"),
        ("read", "GET", "/uploads/sessions"),
        ("read", "GET", f"/uploads/sessions/{NOBODY}"),
        ("read", "GET", f"/uploads/sessions/{NOBODY}/parts"),
        ("read or service", "GET", "/files"),
        ("read or service", "GET", f"/files/{NOBODY}"),
        ("read or service", "GET", f"/files/{NOBODY}/content"),
        ("delete", "DELETE", f"/files/{NOBODY}"),
    ],
)
def test_a_missing_scope_is_403_before_anything_is_looked_up(scoped, scope, method, path):
    allowed = scope.split(" or ")
    for name, api in scoped.items():
        response = api.call(method, path, data=b"")
        if name in allowed:
            assert response.status_code != 403
        else:
            assert scope in problem(response, 403, "insufficient_scope")["detail"]


@pytest.fixture(scope="module")
def scoped(portal_server):
    """A caller with each scope alone."""
    wanted = {scope: (new_name(scope), [scope], "active") for scope in ("upload", "read", "delete", "service")}
    return make_callers(portal_server, **wanted)


def test_limits_are_for_every_scope(scoped):
    for api in scoped.values():
        expect(200, api.get("/limits"))


def test_no_token_reaches_the_log(portal_server, ann_api, ended):
    secrets = [ann_api.token, ended["revoked"].token, "ptl_a-made-up-one-that-somebody-else-may-have-lost"]
    for secret in secrets:
        api = Api(portal_server.url, secret)
        for method, path in DOORS:
            api.call(method, path, data=b"")
        api.get(f"/limits?token={secret}", headers={"Cookie": f"sessionid={secret}", "X-Request-Id": "a-known-id"})
        api.post("/batches", {"name": secret, "metadata": {"token": secret}, "idempotency_key": secret})
        api.post("/batches", {"name": [secret]})
    log = portal_server.read_log()
    assert "a-known-id" in log
    for secret in secrets:
        assert secret not in log

"""Who gets what at every route of both doors: a row for each route and method, and a route without one fails."""

import pytest

from tests.api import Api
from tests.routes import ENDPOINT, EVERY_SCOPE, PAGES, ROWS, SERVICE, all_routes
from tests.samples import CHUNK
from tests.schema.description import Description
from tests.views.callers import ALL, make_callers, new_name
from tests.views.shapes import NOBODY


@pytest.fixture(scope="module")
def callers(portal_server):
    """One of each: the owner and the stranger may do all; the others are stopped by what they hold, or do not."""
    owner, stranger = new_name("owner"), new_name("stranger")
    wanted = {"owner": (owner, ALL, "active"), "stranger": (stranger, ALL, "active")}
    wanted |= {state: (owner, EVERY_SCOPE, state) for state in ("revoked", "expired")}
    wanted |= {"service": (new_name("runner"), [SERVICE], "active")}
    wanted |= {"service with all": (new_name("runner"), EVERY_SCOPE, "active")}
    # The owner's own tokens that lack one scope each, and one that has nothing else.
    for scope in EVERY_SCOPE:
        wanted[f"not {scope}"] = (owner, [other for other in EVERY_SCOPE if other != scope], "active")
        wanted[f"only {scope}"] = (owner, [scope], "active")
    callers = make_callers(portal_server, **wanted) | {"anonymous": Api(portal_server.url)}
    callers["owner"].store(b"x")
    portal_server.manage("dispatch_events")  # gives its event a number
    description = Description(portal_server.url)
    for api in callers.values():
        api.session.hooks["response"].append(description.hook)
    return callers


def some_endpoint(owner):
    """Return the id of an endpoint, made when there is none: one may have only so many."""
    for endpoint in owner.get("/endpoints?limit=1").json()["results"]:
        return endpoint["id"]
    return owner.post("/endpoints", {"url": ENDPOINT}).json()["id"]


def make_things(owner):
    """Return ids of things of the owner's: batches, a stored file, an open session and one that can be finalized."""
    batch = owner.make_batch()["id"]
    open_ = owner.open_session(CHUNK, batch_id=batch)["session_id"]
    ready = owner.open_session(1)
    owner.put_parts(ready, b"x")
    sealed = owner.make_batch()["id"]
    owner.post(f"/batches/{sealed}/seal", {})
    return {
        "batch": batch,
        "sealed": sealed,
        "file": owner.store(b"x")["id"],
        "endpoint": some_endpoint(owner),
        "event": owner.get("/events?limit=1").json()["results"][0]["event_id"],
        "open": open_,
        "ready": ready["session_id"],
    }


@pytest.fixture(scope="module")
def things(callers):
    """What the refused may ask for in vain, as often as they like."""
    return make_things(callers["owner"])


def call(api, method, row, ids):
    """Send the request of a row."""
    return api.call(method, row.path.format(**ids), allow_redirects=False, **row.options)


CASES = [pytest.param(method, row, id=f"{method} {form}") for (form, method), row in ROWS.items()]
GUARDED = [case for case in CASES if not case.values[1].public]
NAMED = [case for case in GUARDED if not case.values[1].mine]


def test_every_route_and_method_of_both_doors_has_its_row():
    pages = {(path, method) for path, method in all_routes() if path in PAGES}
    assert all_routes() - pages == {route for route in ROWS if route[0] not in PAGES}
    assert {path for path, _ in pages} == PAGES


@pytest.mark.parametrize(("method", "row"), CASES)
def test_the_owner_gets_what_is_asked_for(callers, method, row):
    response = call(callers["owner"], method, row, make_things(callers["owner"]))
    assert response.status_code == row.owner, response.text[:500]


@pytest.mark.parametrize(("method", "row"), NAMED)
def test_a_stranger_gets_exactly_the_answer_for_an_id_that_is_not_there(callers, things, method, row):
    # Whether the connection goes on depends on how far the body had come: by chance the same after a few times.
    for _ in range(5):
        theirs = call(callers["stranger"], method, row, things)
        nothing = call(callers["stranger"], method, row, dict.fromkeys(things, NOBODY))
        assert theirs.status_code == nothing.status_code == 404
        assert theirs.content == nothing.content
        ours = {"date", "x-request-id"}
        headers = [{k.lower(): v for k, v in r.headers.items() if k.lower() not in ours} for r in (theirs, nothing)]
        if headers[0] == headers[1]:
            break
    assert headers[0] == headers[1]


@pytest.mark.parametrize("path", ["/batches", "/files", "/uploads/sessions", "/events", "/endpoints"])
def test_a_stranger_does_not_find_them_in_a_list(callers, things, path):
    assert callers["owner"].get(path).json()["results"]
    listed = callers["stranger"].get(f"{path}?limit=1000").text
    assert not [name for name, pk in things.items() if pk in listed]


@pytest.mark.parametrize(("method", "row"), GUARDED)
@pytest.mark.parametrize("name", ["anonymous", "revoked", "expired"])
def test_who_has_no_valid_token_is_401_whatever_the_path_names(callers, things, name, method, row):
    for ids in (things, dict.fromkeys(things, NOBODY)):
        response = call(callers[name], method, row, ids)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "row"), GUARDED)
def test_a_token_without_the_scope_is_403_even_for_the_owner(callers, things, method, row):
    lacking = [f"not {row.scopes[0]}"] if len(row.scopes) == 1 else []
    lacking += [f"only {scope}" for scope in EVERY_SCOPE if scope not in row.scopes]
    for name in lacking:
        response = call(callers[name], method, row, things)
        assert response.status_code == 403, name
        if method != "HEAD":
            assert response.json()["code"] == "insufficient_scope"


@pytest.mark.parametrize(("method", "row"), GUARDED)
def test_each_scope_that_opens_a_route_opens_it_alone(callers, method, row):
    for scope in row.scopes:
        response = call(callers[f"only {scope}"], method, row, make_things(callers["owner"]))
        assert response.status_code == row.owner, scope


@pytest.mark.parametrize(("method", "row"), GUARDED)
def test_service_reads_everybodys_files_and_changes_nothing(callers, things, method, row):
    response = call(callers["service"], method, row, things)
    if SERVICE in row.scopes:
        assert response.status_code == 200
    else:
        assert response.status_code == 403
    if (method, row.path) == ("GET", "/files"):
        assert things["file"] in callers["service"].get("/files?limit=1000").text


@pytest.mark.parametrize(("method", "row"), NAMED)
def test_service_beside_other_scopes_still_changes_nothing_of_others(callers, things, method, row):
    status = call(callers["service with all"], method, row, things).status_code
    assert status == (row.owner if SERVICE in row.scopes else 404)


@pytest.mark.parametrize(("method", "row"), [case for case in CASES if case.values[1].public])
def test_what_is_public_is_so_for_everybody(callers, method, row):
    for name in ("anonymous", "revoked", "stranger", "service"):
        assert call(callers[name], method, row, {}).status_code == row.owner


def test_a_strangers_batch_in_a_body_is_as_good_as_none(callers, things):
    body = {"original_filename": "a", "total_size_bytes": 1, "path": "p"}
    theirs, nothing = (
        callers["stranger"].post("/uploads/sessions", body | {"batch_id": pk}) for pk in (things["batch"], NOBODY)
    )
    assert theirs.status_code == nothing.status_code == 404
    assert theirs.content == nothing.content


def test_after_all_of_this_nothing_of_the_owners_has_changed(callers, things):
    owner = callers["owner"]
    batch = owner.get(f"/batches/{things['batch']}").json()
    assert (batch["total_files"], batch["pending_count"]) == (1, 1)
    assert owner.get(f"/files/{things['file']}/content").content == b"x"
    assert owner.get(f"/uploads/sessions/{things['open']}").json()["status"] == "INIT"
    assert owner.get(f"/uploads/sessions/{things['ready']}").json()["status"] == "IN_PROGRESS"

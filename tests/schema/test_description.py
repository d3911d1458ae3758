"""/schema is valid OpenAPI 3.1 and tells of every route, method and refusal of both doors."""

import re

import pytest
import requests
from drf_spectacular.validation import validate_schema

from portal.exceptions import PortalError
from portal.problems import STATUS_OF_KIND
from portal.transfer.app import ROUTES
from portal.urls import urlpatterns
from tests.api import Api
from tests.schema.description import Description, Undescribed

METHODS = {"get", "post", "put", "patch", "delete", "head"}


@pytest.fixture(scope="module")
def description(portal_server):
    """What the running portal says of itself."""
    return Description(portal_server.url).members


def form(path):
    """Return a path with its placeholders left blank."""
    return re.sub(r"{\w+}|<\w+:\w+>", "{}", path)


def operations(description):
    """Yield `(path, method, operation)` of everything that is described."""
    for path, item in description["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def test_it_is_open_to_anybody_and_served_as_what_it_is(portal_server):
    response = Api(portal_server.url).get("/schema")
    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == "application/vnd.oai.openapi+json"


def test_it_is_valid_openapi_3_1(description):
    assert description["openapi"].startswith("3.1.")
    validate_schema(description)


def test_it_describes_every_route_and_method_of_both_doors(description):
    described = {(form(path), method) for path, method, _ in operations(description)}
    django = {
        (form(f"/{pattern.pattern}"), method)
        for pattern in urlpatterns
        for method in METHODS - {"head"}
        if hasattr(pattern.callback.cls, method)
    }
    bytes_ = {(form(route.path), method.lower()) for route in ROUTES for method in route.methods}
    assert described == django | bytes_


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(description):
    names = [operation["operationId"] for *_, operation in operations(description)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names)
    assert all(operation.get("summary") or operation.get("description") for *_, operation in operations(description))


def test_every_placeholder_of_a_path_is_a_parameter(description):
    for path, _, operation in operations(description):
        declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))


def test_every_refusal_is_a_problem(description):
    for path, method, operation in operations(description):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and method != "head":
                content = response["content"]["application/problem+json"]
                assert content == {"schema": {"$ref": "#/components/schemas/Problem"}}, (path, method, status)
                assert response["description"]


def test_what_needs_a_token_says_so_and_what_does_not_says_that(description):
    assert "security" not in description
    public = {path for path, _, operation in operations(description) if not operation.get("security")}
    assert public == {"/healthz", "/readyz", "/schemas/events", "/schemas/events/{name}.json"}
    for path, _, operation in operations(description):
        if path not in public:
            assert {name for scheme in operation["security"] for name in scheme} == {"bearerAuth", "cookieAuth"}
            assert {"401", "403"} <= operation["responses"].keys()


def test_what_makes_something_takes_an_idempotency_key(description):
    # A PUT has its path for a key.
    posts = [(path, operation) for path, method, operation in operations(description) if method == "post"]
    makers = {path for path, operation in posts if "201" in operation["responses"]}
    assert makers == {"/batches", "/endpoints", "/files", "/uploads/sessions"}
    for path in makers:
        operation = description["paths"][path]["post"]
        assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}
        assert {"200", "409", "422"} <= operation["responses"].keys()
        assert "idempotency_in_progress" in operation["responses"]["409"]["description"]
        assert "Location" in operation["responses"]["201"]["headers"]
        assert "Idempotent-Replayed" in operation["responses"]["200"]["headers"]


def leaves(kind):
    """Yield the errors below `kind` that are raised themselves."""
    for error in kind.__subclasses__():
        yield from leaves(error)
        if error not in STATUS_OF_KIND:
            yield error


#: Errors of stages to come, errors inside a service that no caller sees, and those that any call may meet.
ELSEWHERE = {"batch_sealed", "batch_cancelled", "status_conflict", "storage_unavailable", "database_unavailable"}
ELSEWHERE |= {"server_busy", "admin_name_taken"}


def test_every_error_code_that_a_call_can_give_is_told_somewhere(description):
    text = " ".join(str(operation["responses"]) for *_, operation in operations(description))
    codes = {error.code for error in leaves(PortalError)} - ELSEWHERE
    assert codes
    assert {code for code in codes if f"`{code}`" not in text} == set()


def test_an_answer_that_is_not_described_is_caught(portal_server):
    judge = Description(portal_server.url)
    response = requests.Response()
    response.request = requests.Request("GET", f"{portal_server.url}/limits").prepare()
    response.headers["Content-Type"] = "application/json"
    response.status_code, response._content = 200, b'{"max_parts": "many"}'
    with pytest.raises(Undescribed, match=r"GET .*limits"):
        judge.judge(response)
    response.status_code = 418
    with pytest.raises(Undescribed, match="418"):
        judge.judge(response)

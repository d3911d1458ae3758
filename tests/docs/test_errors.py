"""Every code that a client may see is described, with the status and the wait that it has."""

import ast

from portal import exceptions, problems
from portal.services.accounts import AdminNameTaken
from portal.views.errors import CODES
from tests.design.modules import called_name, nodes
from tests.docs.pages import backticked, named, read, rows, section

PAGE = read("aikb/errors.md")
#: Named in the code and seen by no client of the API; the page says so of each.
INNER = {
    exceptions.PortalError,
    exceptions.Conflict,
    exceptions.Unprocessable,
    exceptions.Unavailable,
    exceptions.StatusConflict,
    AdminNameTaken,
}


#: Where fields are refused.
PLACES = ("portal/serializers", "portal/views", "portal/services/pages.py", "portal/services/idempotency.py")


def tree(root=exceptions.PortalError):
    """Yield every error of the portal."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__.startswith("portal."):
            yield from tree(kind)


def table():
    """Return `(status, wait)` by the codes of the page's first table."""
    first = PAGE[: PAGE.index("## Why a file is FAILED")]
    return {named(row[0]): (int(row[1]), int(row[2]) if row[2] else None) for row in rows(first)}


def codes_of_http():
    """Return the codes that HTTP itself asks for, with their statuses: no service knows them."""
    found = {code: (status, None) for status, code in CODES.items()}
    for _, call in nodes(ast.Call, "portal"):
        if called_name(call) in ("Refusal", "problem_body"):
            status, code = call.args[:2]
            if isinstance(code, ast.Constant):
                # A status that is a name stands beside a code that the page must have, with 500.
                found[code.value] = (getattr(status, "value", 500), None)
    return found | {"invalid_host": (400, None)}


def test_the_table_has_every_error_with_its_status_and_its_wait():
    expected = {kind.code: (problems.status_of(kind()), kind.retry_after) for kind in set(tree()) - INNER}
    assert table() == codes_of_http() | expected


def test_no_two_errors_have_the_same_code():
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))


def test_every_inner_error_is_named_as_one():
    assert {kind.code for kind in INNER} <= set(backticked(PAGE)) - set(table())


def test_every_code_that_a_file_fails_with_is_described():
    literal = {
        keyword.value.value
        for _, call in nodes(ast.Call, "portal/services")
        for keyword in call.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }
    raised = set(exceptions.FAILURES)
    described = {named(row[0]) for row in rows(section(PAGE, "Why a file is FAILED"))}
    assert described == literal | raised


def test_every_code_of_a_field_is_described():
    found = set()
    for _, call in nodes(ast.Call, *PLACES):
        if called_name(call) == "ValidationError":
            found |= {keyword.value.value for keyword in call.keywords if keyword.arg == "code"}
        elif called_name(call) == "_refused":
            found.add(call.args[0].value)
    assert found == {named(row[0]) for row in rows(section(PAGE, "Codes of a field"))}

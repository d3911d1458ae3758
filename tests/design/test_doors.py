"""A door never writes a row: views, the byte door, the admin and the commands ask services to."""

import ast

import pytest

from tests.design.modules import called_name, imported, nodes

DOORS = ("portal/views", "portal/transfer", "portal/admin", "portal/serializers", "portal/management")
#: What writes rows, on a model, on a manager or on a queryset.
WRITES = {
    *("save", "create", "update", "delete"),
    *("bulk_create", "bulk_update", "get_or_create", "update_or_create", "select_for_update"),
    *("refresh_from_db", "raw"),
}
#: Has the name of a write, and is none: it makes a condition.
NO_ROWS = {"Q.create"}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_calls_nothing_that_writes_rows(door):
    calls = [(path, node) for path, node in nodes(ast.Call, door) if ast.unparse(node.func) not in NO_ROWS]
    assert calls
    assert not [(path, ast.unparse(node)) for path, node in calls if called_name(node) in WRITES]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_opens_no_transaction(door):
    names = {(path, name) for path, node in nodes((ast.Import, ast.ImportFrom), door) for name in imported(node)}
    assert names
    assert not {(path, name) for path, name in names if "transaction" in name}


def test_every_transaction_is_opened_by_write_transaction():
    opened = {path for path, node in nodes(ast.Attribute, "portal", "boot") if node.attr == "atomic"}
    assert opened == {"portal/services/transactions.py"}


def test_rows_are_written_by_services_alone():
    places = ("portal", "boot")
    writers = {path for path, node in nodes(ast.Call, *places) if called_name(node) in ("bulk_create", "update")}
    writers = {path for path in writers if not path.startswith("portal/services/")}
    # `update` of a digest, or of counts in memory, is no row
    digests = {f"portal/storage/{name}.py" for name in ("handles", "hashing", "spool", "s3_writes")}
    assert writers <= digests | {"portal/tallies.py"}

"""A status is written in one module, so that each move is a compare-and-set."""

import ast

from portal.models import Delivery, Endpoint, IdempotencyKey, IngestFile, UploadBatch, UploadSession
from tests.design.modules import called_name, nodes

TRANSITIONS = "portal/services/transitions.py"
#: Doors speak of HTTP statuses; what moves rows is here.
ROW_MOVERS = ("portal/services", "portal/models", "portal/management", "portal/admin", "portal/access.py")


def test_no_query_sets_a_status_elsewhere():
    found = set()
    for path, node in nodes(ast.Call, *ROW_MOVERS):
        names = {keyword.arg for keyword in node.keywords}
        if called_name(node) == "Prepared":
            names = {
                getattr(key, "value", None)
                for part in ast.walk(node)
                if isinstance(part, ast.Dict)
                for key in part.keys
            }
        elif called_name(node) not in ("update", "update_or_create", "bulk_update", "create"):
            continue
        if "status" in names:
            found.add(path)
    assert found == {TRANSITIONS}


def test_no_row_is_given_a_status_elsewhere():
    found = set()
    for path, node in nodes((ast.Assign, ast.AugAssign, ast.AnnAssign), *ROW_MOVERS):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Attribute) and target.attr == "status" for target in targets):
            found.add(path)
    assert found == {TRANSITIONS}


def test_no_row_is_made_with_a_status():
    models = {"UploadBatch", "UploadSession", "IngestFile", "IdempotencyKey", "Delivery", "Endpoint"}
    made = [(path, node) for path, node in nodes(ast.Call, "portal") if called_name(node) in models]
    assert {called_name(node) for _, node in made} == models
    assert not [path for path, node in made if "status" in {keyword.arg for keyword in node.keywords}]


def test_the_status_of_a_batch_is_not_written_at_all():
    assert UploadBatch._meta.get_field("status").generated


def test_every_status_that_is_written_has_its_table_of_moves():
    for model in (UploadSession, IngestFile, IdempotencyKey, Delivery, Endpoint):
        assert set(model.TRANSITIONS) == set(model.Status)

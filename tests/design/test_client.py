"""The client is a package of its own: it knows the portal's published API, and nothing of its code."""

import ast
import re
import sys
import tomllib

from tests.design.modules import ROOT, imported, modules, nodes

PACKAGE = "client/src/portal_client"
PROJECT = tomllib.loads((ROOT / "client/pyproject.toml").read_text(encoding="utf-8"))["project"]
LIMIT = 200


def test_it_imports_itself_the_standard_library_and_what_it_declares():
    declared = {re.match(r"[\w-]+", text)[0].replace("-", "_") for text in PROJECT["dependencies"]}
    allowed = {"portal_client", *sys.stdlib_module_names, *declared}
    names = {
        (path, name.split(".")[0])
        for path, node in nodes((ast.Import, ast.ImportFrom), PACKAGE)
        for name in imported(node)
    }
    assert names
    assert not {(path, name) for path, name in names if name not in allowed}
    assert {name for _, name in names} >= declared


def test_its_dependencies_have_lower_bounds_and_are_what_its_tests_run_with():
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = [*ours["dependencies"], *ours["optional-dependencies"]["dev"]]
    assert all(">=" in text for text in PROJECT["dependencies"])
    assert set(PROJECT["dependencies"]) <= set(known)


def test_the_portal_imports_nothing_of_it():
    names = {name for _, node in nodes((ast.Import, ast.ImportFrom), "portal", "boot") for name in imported(node)}
    assert not [name for name in names if name.startswith("portal_client")]


def test_its_modules_are_short_and_say_what_they_are_for():
    found = dict(modules(PACKAGE))
    assert found
    assert not [path for path in found if len((ROOT / path).read_text(encoding="utf-8").splitlines()) > LIMIT]
    assert not [path for path, tree in found.items() if not ast.get_docstring(tree)]


def test_everything_public_in_it_has_a_docstring():
    silent = []
    for path, tree in modules(PACKAGE):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                outer = [parent for parent in ast.walk(tree) if node in ast.iter_child_nodes(parent)]
                public = not isinstance(outer[0], ast.FunctionDef)
                if public and not ast.get_docstring(node):
                    silent.append((path, node.name))
    assert not silent

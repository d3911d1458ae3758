"""Imports go downwards, and only where each layer may look."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.design.modules import ROOT, imported, modules, nodes

IMPORTS = (ast.Import, ast.ImportFrom)
#: The only import inside a function, and why: registering the checks needs the apps to be loaded first.
INSIDE_FUNCTIONS = {("portal/apps.py", "portal.checks")}


def test_the_contracts_of_pyproject_hold():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_services_know_no_http():
    known = {(path, name) for path, node in nodes(IMPORTS, "portal/services") for name in imported(node)}
    assert known
    wrong = ("rest_framework", "django.http", "django.views", "django.urls", "portal.problems", "portal.serializers")
    assert not {(path, name) for path, name in known if name.startswith(wrong)}


def test_no_service_is_handed_a_request():
    arguments = {(path, node.arg) for path, node in nodes(ast.arg, "portal/services", "portal/storage")}
    assert not {(path, name) for path, name in arguments if name in ("request", "exchange", "scope", "environ")}


def test_nothing_is_imported_inside_a_function():
    found = set()
    for path, function in nodes((ast.FunctionDef, ast.AsyncFunctionDef), "portal", "boot"):
        for node in ast.walk(function):
            if isinstance(node, IMPORTS):
                found |= {(path, name) for name in imported(node)}
    assert found == INSIDE_FUNCTIONS


def test_there_are_no_signals():
    names = {(path, name) for path, node in nodes(IMPORTS, "portal", "boot") for name in imported(node)}
    assert not {(path, name) for path, name in names if "signals" in name or name.startswith("django.dispatch")}


def test_a_model_has_no_logic_in_save():
    methods = {(path, node.name) for path, node in nodes(ast.FunctionDef, "portal/models")}
    assert methods
    assert not {(path, name) for path, name in methods if name in ("save", "delete", "clean", "full_clean")}


def test_every_module_of_ours_is_looked_at():
    paths = {path for path, _ in modules("portal", "boot")}
    assert {"portal/services/parts.py", "portal/transfer/app.py", "boot/asgi.py"} <= paths

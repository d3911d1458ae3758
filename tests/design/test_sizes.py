"""Files stay short enough to be read at once, and say what they are for."""

import ast
import importlib
import inspect
import pkgutil

import pytest

import portal.services
import portal.storage
import portal.transfer
from tests.design.modules import ROOT, modules

LIMIT = 200
#: Longer, and why that is better than two files.
LONGER = {
    "boot/settings.py": "one table of settings, read from top to bottom",
}
#: How much longer those may be.
LONGEST = 300


def test_no_module_is_longer_than_200_lines_but_for_those_with_a_reason():
    sizes = {}
    for path, _ in modules("portal", "boot"):
        sizes[path] = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert {path for path, size in sizes.items() if size > LIMIT} <= set(LONGER)
    assert max(sizes.values()) <= LONGEST


def test_every_exception_to_the_limit_is_there():
    assert not [path for path in LONGER if not (ROOT / path).is_file()]


def test_every_module_says_what_it_is_for():
    silent = [path for path, tree in modules("portal", "boot") if tree.body and not ast.get_docstring(tree)]
    assert not silent


def public_things(package):
    """Yield `(dotted name, thing)` of each public function, class and method that a package's modules define."""
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != found.name:
                continue
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield f"{found.name}.{name}", thing
            if inspect.isclass(thing):
                for method_name, method in vars(thing).items():
                    if inspect.isfunction(method) and not method_name.startswith("_"):
                        # getdoc of the attribute finds what the method inherits from the contract.
                        yield f"{found.name}.{name}.{method_name}", getattr(thing, method_name)


@pytest.mark.parametrize("package", [portal.services, portal.storage, portal.transfer])
def test_what_is_public_has_a_docstring(package):
    found = dict(public_things(package))
    assert found
    assert not [name for name, thing in found.items() if not inspect.getdoc(thing)]


def test_no_module_has_a_name_that_says_nothing():
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "tools"}
    names = {part for path, _ in modules("portal", "boot", "tests") for part in path.removesuffix(".py").split("/")}
    assert not names & empty

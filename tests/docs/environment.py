"""What the project reads from the environment, found in its code, Makefile and compose.yaml."""

import ast
import functools
import re
from dataclasses import dataclass

from tests.design.modules import ROOT, called_name, nodes

#: The functions of boot/environment.py that take a variable's name; each knows the form NAME_FILE.
READERS = {"read", "read_int", "read_bool", "read_list", "read_networks", "read_choice", "read_origin"}


@dataclass(frozen=True)
class Setting:
    """A variable: what it is when it is not set (None where the code works it out), whether a file may hold it."""

    name: str
    default: str | None
    from_file: bool


@functools.cache
def settings():
    """Return the settings that the portal reads, by name."""
    found = {}
    for _, call in nodes(ast.Call, "boot", "portal", "manage.py"):
        reads_file = called_name(call) in READERS
        if (reads_file or _asks_environ(call)) and _names_variable(call):
            name = call.args[0].value
            found.setdefault(name, Setting(name, _default(call), reads_file))
    return found


@functools.cache
def variables_of_tests():
    """Return the variables of ours that the tests ask for."""
    calls = [call for _, call in nodes(ast.Call, "tests") if _asks_environ(call) and _names_variable(call)]
    names = {call.args[0].value for call in calls}
    return {name for name in names if name.startswith("PORTAL_TEST_") or name == "CI"}


@functools.cache
def variables_of_the_client():
    """Return the variables of ours that the client's package asks for."""
    found = set()
    for _, call in nodes(ast.Call, "client/src"):
        if _asks_environ(call) and _names_variable(call):
            found.add(call.args[0].value)
        found |= {word.value.value for word in call.keywords if word.arg == "envvar"}
    return {name for name in found if name.startswith("PORTAL_")}


def make_variables():
    """Return the variables that the Makefile takes, with their defaults."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+) \?= ?(.*)$", text, re.MULTILINE))


def compose_variables():
    """Return the names that compose.yaml takes from its surroundings."""
    return set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text(encoding="utf-8")))


def _asks_environ(call):
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in ("get", "setdefault"):
        return False
    return ast.unparse(function.value) in ("os.environ", "environ")


def _names_variable(call):
    name = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    return isinstance(name, str) and name.isupper()


def _default(call):
    if len(call.args) < 2:
        return None
    try:
        # A number is written as a product; what names anything else is worked out by the code.
        value = eval(compile(ast.Expression(call.args[1]), "default", "eval"), {"__builtins__": {}})
    except NameError:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)

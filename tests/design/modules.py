"""The code as the design tests read it: every module of the portal, parsed."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def modules(*places):
    """Yield `(path below the root, parsed module)` of each Python file in `places`: files, or folders and all below."""
    for place in places:
        found = sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]
        for path in found:
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def nodes(kind, *places):
    """Yield `(path, node)` of each node of the type `kind` in `places`."""
    for path, tree in modules(*places):
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield path, node


def imported(node):
    """Return the dotted names that an import statement names, `from a import b` as `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]


def called_name(node):
    """Return the last name of what a call calls: `update` of `rows.filter(…).update(…)`."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")

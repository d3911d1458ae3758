"""The tables that are made from the code: `python -m tests.docs.tables --write` puts them into their pages.

A page marks the place of one by `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import os
import re
import sys
from dataclasses import dataclass
from itertools import zip_longest

import configurations

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boot.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")
configurations.setup()

# What follows reads models and routes.
from django.urls import URLPattern, get_resolver  # noqa: E402

from portal import access  # noqa: E402
from portal.metrics import METRICS  # noqa: E402
from portal.models import Delivery, Endpoint, IdempotencyKey, IngestFile, UploadSession  # noqa: E402
from portal.services.doctor import STATES  # noqa: E402
from portal.transfer.app import ROUTES  # noqa: E402
from tests.docs.pages import ROOT, page_names, read  # noqa: E402
from tests.routes import ROWS, path_form  # noqa: E402

GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: How a path of the byte door is marked.
BYTES = {True: " *", False: ""}
#: What Django's own views are for.
PAGES = {
    "/": ("GET", "leads to `/docs`"),
    "/admin": ("GET", "leads to `/admin/`"),
    "/docs": ("GET", "the description, to be read and tried out; works offline"),
    "/login": ("GET, POST", "a browser session begins"),
    "/logout": ("POST", "it ends"),
    "/schema": ("GET", "the description of the API, OpenAPI 3.1"),
}


@dataclass(frozen=True)
class Row:
    """One path of either door: its methods, each with the scopes that open it, who answers, and what it does."""

    path: str
    methods: dict
    by: str
    does: str


def routes():
    """Return a Row for every path of both doors, in the order of their paths."""
    found = [Row("/admin/", {"GET, POST": "staff"}, "portal.admin", "the operators' pages")]
    for path, callback in _patterns(get_resolver().url_patterns):
        view = getattr(callback, "cls", None)
        if hasattr(view, "scopes"):
            methods = [name.upper() for name in view.http_method_names if hasattr(view, name) and name != "options"]
            methods = {method: _scopes(view.scopes.get(method, ())) for method in methods}
            found.append(Row(path, methods, f"{view.__module__}.{view.__qualname__}", view.__doc__))
        else:
            methods, does = PAGES[path]
            found.append(Row(path, {methods: "public"}, "boot.urls", does))
    for route in ROUTES:
        # Its scopes stand in services; tests/test_tenancy.py holds these.
        methods = {", ".join(route.methods): _scopes(ROWS[path_form(route), route.methods[0]].scopes)}
        by = f"{route.handler.__module__}.{route.handler.__qualname__}"
        found.append(Row(route.path, methods, by, route.handler.__doc__))
    return sorted(found, key=lambda row: row.path)


def _patterns(patterns):
    """Yield the path and the view of each of Django's routes but for the admin's own."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield "/" + re.sub(r"<[^>]+>", "{id}", str(pattern.pattern)), pattern.callback
        elif str(pattern.pattern) != "admin/":
            yield from _patterns(pattern.url_patterns)


def _scopes(scopes):
    return "any scope" if len(scopes) == len(access.SCOPES) else " or ".join(scopes) or "public"


def urls():
    """Every route of both doors, for aikb/architecture.md."""
    lines = ["| path | methods and scopes | answered by | what it does |", "| --- | --- | --- | --- |"]
    for row in routes():
        methods = "; ".join(f"{method} ({scopes})" for method, scopes in row.methods.items())
        does = " ".join(row.does.split("\n\n")[0].split())
        lines.append(f"| `{row.path}` | {methods} | `{row.by}` | {does} |")
    return lines


def paths():
    """The paths alone, for CLAUDE.md, in two columns: one page must hold them all."""
    rows = [f"{', '.join(row.methods):<11} {row.path}{BYTES[row.by.split('.')[1] == 'transfer']}" for row in routes()]
    half = (len(rows) + 1) // 2
    lines = [f"{left:<58}{right}".rstrip() for left, right in zip_longest(rows[:half], rows[half:], fillvalue="")]
    return ["```", *lines, "```"]


def moves():
    """Which status may follow which, for aikb/models.md."""
    lines = ["| model | from | to |", "| --- | --- | --- |"]
    for model in (UploadSession, IngestFile, IdempotencyKey, Delivery, Endpoint):
        for status, following in model.TRANSITIONS.items():
            names = [name for name in model.Status if name in following]
            lines.append(f"| {model.__name__} | {status} | {', '.join(names) or '(final)'} |")
    return lines


def scopes():
    """What each scope allows, for aikb/api.md."""
    lines = ["| scope | allows to |", "| --- | --- |"]
    return lines + [f"| `{name}` | {allows} |" for name, allows in access.SCOPES.items()]


def metrics():
    """What /metrics tells, for aikb/operations.md."""
    lines = ["| metric | kind | labels | what |", "| --- | --- | --- | --- |"]
    for metric in METRICS:
        labels = ", ".join(f"`{name}`" for name in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return lines


def stuck():
    """What manage.py doctor looks for, for aikb/operations.md."""
    lines = ["| state | stuck after | what | what to do |", "| --- | --- | --- | --- |"]
    return lines + [f"| {s.name} | {_span(s.deadline)} | {s.what} | {s.advice} |" for s in STATES]


def _span(deadline):
    """Return a time as people say it."""
    seconds = int(deadline.total_seconds())
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s" if seconds else "at once"


TABLES = {"urls": urls, "paths": paths, "moves": moves, "scopes": scopes, "metrics": metrics, "stuck": stuck}


def filled(text):
    """Return a page's text with its generated tables made anew."""
    return GENERATED.sub(lambda found: found[1] + "\n".join(TABLES[found[2]]()) + "\n" + found[3], text)


def main():
    """Write the tables into their pages."""
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.docs.tables --write")
    for name in page_names():
        text = read(name)
        if filled(text) != text:
            (ROOT / name).write_text(filled(text), encoding="utf-8")
            print(f"written: {name}")


if __name__ == "__main__":
    main()

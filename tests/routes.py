"""What each route and method of both doors is for, and the list of those that there are."""

import re
from dataclasses import dataclass, field

from django.urls import URLPattern, URLResolver, get_resolver

from portal.transfer.app import ROUTES
from tests.samples import CHUNK
from tests.transfer.tars import END, member
from tests.views.callers import ALL

#: A tar with one member.
TAR = member(b"of a tar", b"x") + END

READ, UPLOAD, DELETE, SERVICE = "read", "upload", "delete", "service"
EVERY_SCOPE = (*ALL, SERVICE)
#: An address that may be called; nobody calls it, since no worker runs.
ENDPOINT = "https://1.1.1.1/hook"


@dataclass(frozen=True)
class Row:
    """What a route and method is for: which scopes open it, and what its owner gets.

    Where the path names something, `{batch}`, `{sealed}` (a batch without files), `{file}`, `{event}`,
    `{endpoint}`, `{open}` (a session without its part) or `{ready}` (one that has it) stand for its id; a stranger then
    gets 404. A path that names nothing is everybody's own: `mine`.
    """

    path: str
    scopes: tuple = ()
    owner: int = 200
    options: dict = field(default_factory=dict)

    @property
    def public(self):
        """Open to anybody."""
        return not self.scopes

    @property
    def mine(self):
        """Names nothing that could be somebody else's."""
        return "{" not in self.path


#: The form of a path in the resolver, the method, and what is expected.
ROWS = {
    ("/batches", "GET"): Row("/batches", (READ,)),
    ("/batches", "POST"): Row("/batches", (UPLOAD,), 201, {"json": {}}),
    ("/batches/{}", "GET"): Row("/batches/{batch}", (READ,)),
    ("/batches/{}", "DELETE"): Row("/batches/{batch}", (UPLOAD,), 204),
    ("/batches/{}/files", "GET"): Row("/batches/{batch}/files", (READ,)),
    ("/batches/{}/seal", "POST"): Row("/batches/{batch}/seal", (UPLOAD,), 200, {"json": {}}),
    ("/batches/{}/receipt", "GET"): Row("/batches/{sealed}/receipt", (READ,)),
    ("/batches/{}/finalize", "POST"): Row(
        "/batches/{batch}/finalize", (UPLOAD,), 200, {"json": {"session_ids": ["01890000-0000-7000-8000-000000000000"]}}
    ),
    # Of a batch that is completed: the stream ends at once.
    ("/batches/{}/stream", "GET"): Row("/batches/{sealed}/stream", (READ, SERVICE)),
    ("/batches/{}/events", "GET"): Row("/batches/{batch}/events", (READ, SERVICE)),
    ("/endpoints", "GET"): Row("/endpoints", (READ,)),
    ("/endpoints", "POST"): Row("/endpoints", (UPLOAD,), 201, {"json": {"url": ENDPOINT}}),
    ("/endpoints/{}", "GET"): Row("/endpoints/{endpoint}", (READ,)),
    ("/endpoints/{}", "DELETE"): Row("/endpoints/{endpoint}", (DELETE,), 204),
    ("/endpoints/{}/enable", "POST"): Row("/endpoints/{endpoint}/enable", (UPLOAD,)),
    ("/endpoints/{}/rotate", "POST"): Row("/endpoints/{endpoint}/rotate", (UPLOAD,)),
    ("/events", "GET"): Row("/events", (READ, SERVICE)),
    ("/events/{}", "GET"): Row("/events/{event}", (READ, SERVICE)),
    ("/events/{}/replay", "POST"): Row("/events/{event}/replay", (UPLOAD,), 202),
    ("/schemas/events", "GET"): Row("/schemas/events"),
    ("/schemas/events/{}.json", "GET"): Row("/schemas/events/file.failed.json"),
    ("/files", "GET"): Row("/files", (READ, SERVICE)),
    ("/batches/{}/files", "POST"): Row(
        "/batches/{batch}/files", (UPLOAD,), 200, {"data": TAR, "headers": {"Content-Type": "application/x-tar"}}
    ),
    ("/batches/{}/manifest", "PUT"): Row(
        "/batches/{batch}/manifest", (UPLOAD,), 200, {"data": b'{"path": "declared", "total_size_bytes": 1}'}
    ),
    ("/batches/{}/files/{}", "PUT"): Row("/batches/{batch}/files/a%20folder/new", (UPLOAD,), 201, {"data": b"x"}),
    ("/files", "POST"): Row(
        "/files", (UPLOAD,), 201, {"data": b"x", "headers": {"Content-Disposition": "attachment; filename=x"}}
    ),
    ("/files/{}", "GET"): Row("/files/{file}", (READ, SERVICE)),
    ("/files/{}", "DELETE"): Row("/files/{file}", (DELETE,), 204),
    ("/files/{}/content", "GET"): Row("/files/{file}/content", (READ, SERVICE)),
    ("/files/{}/content", "HEAD"): Row("/files/{file}/content", (READ, SERVICE)),
    ("/uploads/sessions", "GET"): Row("/uploads/sessions", (READ,)),
    ("/uploads/sessions", "POST"): Row(
        "/uploads/sessions", (UPLOAD,), 201, {"json": {"original_filename": "a", "total_size_bytes": 1}}
    ),
    ("/uploads/sessions/{}", "GET"): Row("/uploads/sessions/{open}", (READ,)),
    ("/uploads/sessions/{}", "DELETE"): Row("/uploads/sessions/{open}", (UPLOAD,), 204),
    ("/uploads/sessions/{}/parts", "GET"): Row("/uploads/sessions/{ready}/parts", (READ,)),
    ("/uploads/sessions/{}/parts/{}", "PUT"): Row(
        "/uploads/sessions/{open}/parts/1", (UPLOAD,), 200, {"data": b"x" * CHUNK}
    ),
    ("/uploads/sessions/{}/presign", "POST"): Row(
        "/uploads/sessions/{open}/presign", (UPLOAD,), 409, {"json": {"parts": [[1, 1]]}}
    ),
    ("/uploads/sessions/{}/parts/{}/complete", "POST"): Row(
        "/uploads/sessions/{open}/parts/1/complete", (UPLOAD,), 409, {"json": {}}
    ),
    ("/uploads/sessions/{}/finalize", "POST"): Row("/uploads/sessions/{ready}/finalize", (UPLOAD,)),
    ("/limits", "GET"): Row("/limits", EVERY_SCOPE),
    # The tests ask from the portal's own machine: tests/views/test_metrics.py is about others.
    ("/metrics", "GET"): Row("/metrics"),
    ("/healthz", "GET"): Row("/healthz"),
    ("/readyz", "GET"): Row("/readyz"),
    ("/schema", "GET"): Row("/schema"),
    ("/docs", "GET"): Row("/docs"),
    ("/", "GET"): Row("/", owner=302),
    ("/login", "GET"): Row("/login"),
    ("/logout", "POST"): Row("/logout", owner=403),  # without a form's CSRF token; it ends one's own session alone
}
#: What people see in a browser: methods that answer as the one in the table does, or with a form's CSRF refusal.
PAGES = {"/", "/login", "/logout"}
#: Everything below it asks for a login of its own: tests/test_admin.py.
ADMIN = {"/admin", "/admin/"}


def django_routes(patterns, prefix="/"):
    """Yield `(path form, methods)` of every route that Django's resolver knows, but for the admin's."""
    for pattern in patterns:
        path = prefix + re.sub(r"<[^>]+>", "{}", str(pattern.pattern))
        if path in ADMIN:
            continue
        if isinstance(pattern, URLResolver):
            yield from django_routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "view_class", None) or pattern.callback.cls
            known = {name.upper() for name in view.http_method_names if hasattr(view, name)}
            yield path, known - {"OPTIONS", "HEAD", "TRACE"}


def all_routes():
    """Return the pairs of path form and method of both doors."""
    routes = {(path, method) for path, methods in django_routes(get_resolver().url_patterns) for method in methods}
    return routes | {(path_form(route), method) for route in ROUTES for method in route.methods}


def path_form(route):
    """Return the path of a route of the byte door in the form of ROWS."""
    return re.sub(r"{\w+}", "{}", route.path)

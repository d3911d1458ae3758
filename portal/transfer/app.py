"""The byte door's routes: which paths it takes from Django, and what it does with each."""

import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote_to_bytes
from uuid import UUID

from portal.exceptions import NotFound
from portal.transfer.errors import Refusal, answer_early, refuse
from portal.transfer.exchange import Exchange
from portal.transfer.live import stream_batch
from portal.transfer.manifest import put_manifest
from portal.transfer.many import FORM, TAR, post_files
from portal.transfer.receive import put_part
from portal.transfer.security import find_redirect
from portal.transfer.send import send_content
from portal.transfer.whole import post_file, put_file

#: The form of an id that Django's own converter takes.
UUID_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: A whole number in ASCII digits; one below zero is out of range like any other.
NUMBER_FORM = re.compile(r"(-?)([0-9]+)")
#: A part number of more digits than this is out of range in every session.
NUMBER_DIGITS = 9


@dataclass(frozen=True)
class Route:
    """One path of the byte door: a template with {id} (a UUID), {n} (a part number), {path} (all that follows).

    Of a `shared` path, Django has the other methods; and, where `kinds` are named, bodies of other media types.
    """

    name: str
    methods: tuple[str, ...]
    path: str
    handler: object
    shared: bool = False
    kinds: tuple[str, ...] = ()

    @cached_property
    def form(self):
        """The pattern of the path, with a named group for each placeholder."""
        placeholders = {"id": "(?P<id>[^/]+)", "n": "(?P<n>[^/]+)", "path": "(?P<path>.+)"}
        return re.compile(re.sub(r"{(\w+)}", lambda found: placeholders[found[1]], self.path), re.DOTALL)

    def match(self, scope, path):
        """Return the text of each placeholder by its name, or None when the request is not for this route."""
        if self.shared and scope["method"] not in self.methods:
            return None
        found = self.form.fullmatch(path)
        return None if found is None or not self._takes(scope) else found.groupdict()

    def _takes(self, scope):
        if not self.kinds:
            return True
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        return kind.partition(b";")[0].strip().lower().decode("latin-1") in self.kinds


ROUTES = [
    Route("part", ("PUT",), "/uploads/sessions/{id}/parts/{n}", put_part),
    Route("stream", ("GET",), "/batches/{id}/stream", stream_batch),
    Route("content", ("GET", "HEAD"), "/files/{id}/content", send_content),
    Route("batch_file", ("PUT",), "/batches/{id}/files/{path}", put_file),
    Route("manifest", ("PUT",), "/batches/{id}/manifest", put_manifest),
    Route("file", ("POST",), "/files", post_file, shared=True),
    Route("batch_files", ("POST",), "/batches/{id}/files", post_files, shared=True, kinds=(TAR, FORM)),
]


def find_route(scope):
    """Return `(route, texts)` for a request that belongs to the byte door, else None."""
    raw_path = scope.get("raw_path") or scope["path"].encode()
    path = unquote_to_bytes(raw_path).decode("latin-1")
    for route in ROUTES:
        texts = route.match(scope, path)
        if texts is not None:
            return route, texts
    return None


async def serve(route, texts, scope, receive, send):
    """Answer one request of the byte door, whatever goes wrong; nothing is raised but a cancellation."""
    exchange = Exchange(scope, receive, send)
    try:
        location = find_redirect(exchange)
        if location:
            return await answer_early(exchange, 301, {"Location": location})
        if exchange.method not in route.methods:
            detail = f"This path takes {' and '.join(route.methods)}."
            raise Refusal(405, "method_not_allowed", detail, Allow=", ".join(route.methods))
        await route.handler(exchange, *read_arguments(texts))
    except Exception as error:  # noqa: BLE001 - this is the outermost door: everything becomes an answer
        await refuse(exchange, error)


def read_arguments(texts):
    """Return the placeholders as UUID, number, bytes of a path; raises NotFound when one is of another form."""
    readers = {"id": _read_id, "n": _read_number, "path": lambda text: text.encode("latin-1")}
    return [readers[name](text) for name, text in texts.items()]


def _read_id(text):
    if not UUID_FORM.fullmatch(text):
        raise NotFound
    return UUID(text)


def _read_number(text):
    found = NUMBER_FORM.fullmatch(text)
    if not found:
        raise NotFound
    sign, digits = found[1], found[2].lstrip("0") or "0"
    number = int(digits) if len(digits) <= NUMBER_DIGITS else 10**NUMBER_DIGITS
    return -number if sign else number

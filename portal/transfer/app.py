"""The byte door's routes: which paths it takes from Django, and what it does with each."""

import re
from dataclasses import dataclass
from uuid import UUID

from portal.exceptions import NotFound
from portal.transfer.errors import Refusal, answer_early, refuse
from portal.transfer.exchange import Exchange
from portal.transfer.receive import put_part
from portal.transfer.security import check_host, find_redirect
from portal.transfer.send import send_content

#: The form of an id that Django's own converter takes.
UUID_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: A whole number in ASCII digits; one below zero is out of range like any other.
NUMBER_FORM = re.compile(r"(-?)([0-9]+)")
#: A part number of more digits than this is out of range in every session.
NUMBER_DIGITS = 9


@dataclass(frozen=True)
class Route:
    """One path of the byte door; `path` is a template with {id} (a UUID) and {n} (a part number)."""

    name: str
    methods: tuple[str, ...]
    path: str
    handler: object

    def match(self, path):
        """Return the text of each placeholder, or None when `path` is not of this form."""
        pattern = re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return found and found.groups()


ROUTES = [
    Route("part", ("PUT",), "/uploads/sessions/{id}/parts/{n}", put_part),
    Route("content", ("GET", "HEAD"), "/files/{id}/content", send_content),
]


def find_route(path):
    """Return `(route, texts)` for a decoded path that belongs to the byte door, else None."""
    for route in ROUTES:
        texts = route.match(path)
        if texts:
            return route, texts
    return None


async def serve(route, texts, scope, receive, send):
    """Answer one request of the byte door, whatever goes wrong; nothing is raised but a cancellation."""
    exchange = Exchange(scope, receive, send)
    try:
        check_host(exchange.request)
        location = find_redirect(exchange.request)
        if location:
            return await answer_early(exchange, 301, {"Location": location})
        if exchange.method not in route.methods:
            detail = f"This path takes {' and '.join(route.methods)}."
            raise Refusal(405, "method_not_allowed", detail, Allow=", ".join(route.methods))
        await route.handler(exchange, *read_arguments(texts))
    except Exception as error:  # noqa: BLE001 - this is the outermost door: everything becomes an answer
        await refuse(exchange, error)


def read_arguments(texts):
    """Return the placeholders as UUID and whole number; raises NotFound when one is of another form."""
    if not UUID_FORM.fullmatch(texts[0]):
        raise NotFound
    arguments = [UUID(texts[0])]
    for text in texts[1:]:
        found = NUMBER_FORM.fullmatch(text)
        if not found:
            raise NotFound
        sign, digits = found[1], found[2].lstrip("0") or "0"
        number = int(digits) if len(digits) <= NUMBER_DIGITS else 10**NUMBER_DIGITS
        arguments.append(-number if sign else number)
    return arguments

"""JSON in and out: strict where it is read, fast where it is written."""

import json
from itertools import islice

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from portal.exceptions import Invalid

MAX_DEPTH = 64
INT_LIMIT = 2**63
#: A body of nothing but faults is not answered with a longer one.
MOST_FAULTS, NAME_CHARACTERS = 20, 100
TOO_DEEP = f"Nested deeper than {MAX_DEPTH}."


class StrictJSONParser(BaseParser):
    """Reads JSON (RFC 8259) and refuses what a database cannot keep.

    That is NUL, lone surrogates, NaN, numbers of 2^63 and more, and deep nesting.
    """

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        """Return the parsed body; an empty one is an empty object. Raises ParseError, or Invalid with the fields."""
        try:
            text = stream.read().decode("utf-8")
            if not text.strip():
                return {}
            body = json.loads(text, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ParseError(TOO_DEEP) from error
        except ValueError as error:
            given = parser_context["request"].META.get("CONTENT_TYPE") if parser_context else media_type
            what = "Not valid JSON" if given else "Not valid JSON, as which a body without a Content-Type is read"
            raise ParseError(f"{what}: {error}") from error
        faults = [*islice(_faults_of(body), MOST_FAULTS)]
        if faults:
            raise Invalid("Some fields are not valid.", errors=faults)
        return body


class FastJSONRenderer(BaseRenderer):
    """Writes JSON with orjson: UUIDs as text, times as RFC 3339 with Z."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        """Return the body in bytes; none at all for None."""
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_UTC_Z)


class AlwaysJSON(BaseContentNegotiation):
    """The API speaks JSON whatever the Accept header asks for, as S3 and Stripe do; never 406."""

    def select_parser(self, request, parsers):
        """Return the parser of the body's media type; JSON also where none is named."""
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if kind in ("", parser.media_type)), None)

    def select_renderer(self, request, renderers, format_suffix=None):
        """Return the one renderer there is."""
        return renderers[0], renderers[0].media_type


def json_object(request):
    """Return the body as an object; raises Invalid when it is any other JSON value."""
    if not isinstance(request.data, dict):
        raise Invalid("The body must be a JSON object.")
    return request.data


def _refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def _faults_of(body):
    """Yield what a database cannot keep, by the member of the body where it stands."""
    for name, value in body.items() if isinstance(body, dict) else [("", body)]:
        try:
            _check(name, MAX_DEPTH)
            _check(value, MAX_DEPTH)
        except ValueError as error:
            yield {"field": ascii(name[:NAME_CHARACTERS])[1:-1], "code": "invalid", "detail": str(error)}


def _check(value, depth):
    """Raise ValueError for what a database cannot keep."""
    if depth < 0:
        raise ValueError(TOO_DEEP)
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (int, float)):
        # However it is written, a number of 2^63 and more is a whole one: PostgreSQL gives it back as such.
        if not -INT_LIMIT <= value < INT_LIMIT:
            raise ValueError("A number is out of range.")
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth - 1)


def _check_text(text):
    if "\0" in text:
        raise ValueError("A text holds NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("A text holds a lone surrogate.") from error

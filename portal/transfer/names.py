"""What a file that comes whole is called, read from its URL or its headers; checked as a session's fields are."""

import re
from functools import lru_cache
from urllib.parse import quote

from django.utils.http import parse_header_parameters
from rest_framework.serializers import ValidationError

from portal.exceptions import Invalid
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.serializers.texts import NameField, PathField, describe_fault

_FIELDS = {"path": PathField(), "original_filename": NameField(), "content_type": NameField()}
#: The longest name; of a path's last segment that is longer, the end tells more.
NAME_CHARACTERS = 255
#: What stands for bytes that are no text once they are decoded.
BROKEN = "\ufffd"


#: What nearly all paths are like; to ask the field itself takes twenty times as long.
PLAIN_PATH = re.compile(r"(?!.{1025})\w[\w .-]*(?:/\w[\w .-]*)*", re.ASCII)


@lru_cache(maxsize=256)
def check_text(field, text):
    """Return `text` if it may stand in the field of this name; raises Invalid, with its one member of `errors`."""
    try:
        return _FIELDS[field].run_validation(text)
    except ValidationError as error:
        fault = describe_fault(field, error)
        raise Invalid(fault["detail"], errors=[fault]) from error


def read_path(raw):
    """Return `(path, name)`: the relative path in the bytes `raw`, and its last segment as the file's own name."""
    try:
        path = raw.decode("utf-8")
        if not PLAIN_PATH.fullmatch(path):
            path = check_text("path", path)
    except UnicodeDecodeError as error:
        raise _bad_text("path", "invalid_path", "Not valid UTF-8.") from error
    return path, path.rpartition("/")[2][-NAME_CHARACTERS:]


def read_filename(header):
    """Return the file name that a Content-Disposition header gives (RFC 6266), `filename*` before `filename`."""
    try:
        # Raw bytes in a header are UTF-8 with every client that sends any, whatever the RFC says.
        header = (header or "").encode("latin-1").decode("utf-8")
        name = parse_header_parameters(header)[1].get("filename")
    except ValueError as error:
        raise _bad_text("original_filename", "invalid", "Content-Disposition cannot be read.") from error
    if not name:
        detail = "Name the file: Content-Disposition: attachment; filename=…"
        raise _bad_text("original_filename", "required", detail)
    if BROKEN in name and BROKEN not in header and quote(BROKEN) not in header.upper():
        raise _bad_text("original_filename", "invalid", "The name in Content-Disposition is not valid UTF-8.")
    return check_text("original_filename", name)


def read_content_type(header):
    """Return the media type that a Content-Type header gives, or that of bytes of any kind."""
    return check_text("content_type", header) if header else DEFAULT_CONTENT_TYPE


def _bad_text(field, code, detail):
    return Invalid(detail, errors=[{"field": field, "code": code, "detail": detail}])

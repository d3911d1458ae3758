"""One field of a form, read from its headers (RFC 7578): whether it is a file, and what that is called."""

import re
from urllib.parse import unquote_to_bytes

from portal.exceptions import Invalid
from portal.transfer.members import Member, make_member

#: RFC 7578 allows three, some clients add one or two of their own.
MAX_HEADERS = 16
DISPOSITION, TYPE, LENGTH = "content-disposition", "content-type", "content-length"

#: One parameter of a header: a semicolon, and a name with a value that is quoted or not, or nothing at all.
PARAMETER = re.compile(
    r';[ \t]*+(?:(?P<name>[^\s=;"]++)[ \t]*+=[ \t]*+(?P<value>"(?:[^"\\]|\\.)*+"[ \t]*+|[^";]*+))?(?=;|\Z)', re.DOTALL
)
#: What browsers write for the three characters that would end a quoted name.
PERCENT = {"%22": '"', "%0D": "\r", "%0A": "\n"}
#: A file without a name: nothing, unless bytes come with it.
NAMELESS = Member("")
NO_HEADER = "A header of a part of the form is not written as `name: value`."


def read_field(head):
    """Return the Member that these headers (bytes, a line break before each) name, or None when they name no file.

    Where the name is empty, as browsers send it when no file was chosen, it is NAMELESS.
    """
    headers, wrong = _read_headers(head.decode("utf-8", "surrogateescape"))
    try:
        kind, name = read_disposition(headers.get(DISPOSITION, ""))
        if kind != "form-data":
            wrong = wrong or Invalid("Each part of a form needs the header Content-Disposition: form-data.")
    except Invalid as error:
        return Member(None, error=wrong or error)
    length = headers.get(LENGTH)
    if not name and wrong:
        return Member(None, error=wrong)
    if not name:
        return None if name is None else NAMELESS
    member = make_member(name, size=length and int(length), content_type=headers.get(TYPE))
    member.error = wrong or member.error
    return member


def read_disposition(value):
    """Return the kind that a Content-Disposition names, and its file name in bytes as it was meant, if it has one.

    `filename*` goes before `filename`. Backslashes stay: to cut a name at them would hide a bad one.
    """
    kind, parameters = value.partition(";")[0], {}
    place = len(kind)
    while place < len(value):
        found = PARAMETER.match(value, place)
        if found is None:
            raise Invalid("Content-Disposition cannot be read.")
        if found["name"]:
            parameters.setdefault(found["name"].lower(), found["value"].strip())
        place = found.end()
    if "filename*" in parameters:
        name = _read_extended(parameters["filename*"])
    elif "filename" in parameters:
        name = _unquote(parameters["filename"]).encode("utf-8", "surrogateescape")
    else:
        name = None
    return kind.strip().lower(), name


def _read_headers(text):
    """Return the headers that matter by their names in lower case, and the error of the first that is wrong."""
    # A line that begins with a space carries the one before it on.
    first, *lines = re.sub(r"\r\n[ \t]+", " ", text).split("\r\n")
    headers, wrong = {}, None
    if len(lines) > MAX_HEADERS:
        wrong = Invalid(f"A part of the form has more than {MAX_HEADERS} headers.")
    if first:
        wrong = wrong or Invalid(NO_HEADER)
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not name or not colon or "\n" in line or "\r" in line:
            wrong = wrong or Invalid(NO_HEADER)
        elif name in headers:
            wrong = wrong or Invalid(f"A part of the form has two headers {name}.")
        elif name in (DISPOSITION, TYPE, LENGTH):
            headers[name] = value.strip(" \t")
    if LENGTH in headers and not re.fullmatch("[0-9]{1,19}", headers[LENGTH]):
        wrong = wrong or Invalid("The Content-Length of a part of the form is not one whole number.")
        del headers[LENGTH]
    return headers, wrong


def _read_extended(text):
    """Return the bytes of a value in the extended form of RFC 8187."""
    charset, _, rest = text.strip('"').partition("'")
    _, quote, encoded = rest.partition("'")
    if charset.lower() != "utf-8" or not quote or not encoded.isascii():
        raise Invalid("filename*: write UTF-8''<percent-encoded UTF-8>.")
    return unquote_to_bytes(encoded)


def _unquote(value):
    if value.startswith('"'):
        value = value[1:-1]
        if '\\"' in value:
            return re.sub(r'\\(["\\])', r"\1", value)
    return re.sub("%22|%0D|%0A", lambda found: PERCENT[found[0]], value)

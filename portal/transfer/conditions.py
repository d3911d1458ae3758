"""Conditional and range requests (RFC 9110, sections 13 and 14), as far as a file that never changes needs them."""

import re

#: One range; no blank inside, as in the RFC: a pattern that took some could be made to look for minutes.
RANGE = re.compile("bytes=([0-9]*)-([0-9]*)", re.IGNORECASE)
ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
#: More digits than any size has; what is longer is as good as this.
DIGITS = 19


def parse_range(header, size):
    """Return the `(start, end)` that one byte range asks for, None for the whole file.

    Raises ValueError when the range is well formed but lies outside of the file. A malformed range, another unit and
    several ranges at once are None: the RFC lets a server ignore them, and the whole file is a right answer.
    """
    match = RANGE.fullmatch((header or "").strip())
    if match is None or match[1] == match[2] == "":
        return None
    first, last = (_number(text) for text in match.groups())
    if first is None:
        start, end = max(size - last, 0), size
    elif last is not None and last < first:
        return None
    else:
        start, end = first, size if last is None else min(last + 1, size)
    if start >= end:
        raise ValueError("range lies outside the file")
    return start, end


def _number(text):
    digits = text.lstrip("0")
    if not text:
        return None
    return 10**DIGITS if len(digits) > DIGITS else int(digits or "0")


def names_tag(header, tag, *, weak):
    """Return True when an If-Match or If-None-Match header names `tag`; `weak` lets W/"…" count as well."""
    if header.strip() == "*":
        return True
    return any(value == tag and (weak or not mark) for mark, value in ENTITY_TAG.findall(header))


def range_applies(if_range, tag):
    """Return True unless an If-Range header names another version; a date never matches, as no date is sent."""
    return if_range is None or if_range.strip() == tag

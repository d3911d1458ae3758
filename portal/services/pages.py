"""Keyset pages: each costs the same wherever it is, and nothing is counted."""

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

import orjson

from portal.exceptions import Invalid

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
#: How the text in a cursor becomes a value of the column that the list goes by.
READ_POSITION = {"id": UUID, "number": int, "path": str, "seq": int}
#: What a whole number in a cursor is below, by its column.
BELOW = {"number": 2**31, "seq": 2**63}


@dataclass(frozen=True)
class Page:
    """Rows of one page, in list order, and the cursors of its neighbours (None at an end)."""

    rows: list
    next: str | None
    previous: str | None


def read_page(queryset, fields, *, key="id", newest_first=False, limit=DEFAULT_LIMIT, cursor=None):
    """Return the Page of `queryset` (as dicts of `fields`) at `cursor`, ordered by the unique column `key`.

    Raises Invalid for a cursor that this list did not give.
    """
    backwards, position = _decode(cursor, key) if cursor else (False, None)
    descending = newest_first != backwards
    if position is not None:
        queryset = queryset.filter(**{f"{key}__{'lt' if descending else 'gt'}": position})
    rows = list(queryset.order_by(f"-{key}" if descending else key).values(*fields)[: limit + 1])
    more, rows = len(rows) > limit, rows[:limit]
    if backwards:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    before = _encode(True, key, rows[0][key]) if (more if backwards else position is not None) else None
    after = _encode(False, key, rows[-1][key]) if (backwards or more) else None
    return Page(rows, after, before)


def prefix_range(prefix):
    """Return the bounds `(from, below)` of all texts that start with `prefix`, compared by code point.

    That is bytewise in UTF-8. `below` is None when no text can lie above.
    """
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if following == 0xD800:
            following = 0xE000  # surrogates are no characters
        if following <= 0x10FFFF:
            return prefix, prefix[: end - 1] + chr(following)
    return prefix, None


def _encode(backwards, key, position):
    text = orjson.dumps(["p" if backwards else "n", key, str(position)])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _decode(cursor, key):
    try:
        direction, column, position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if direction not in ("n", "p") or column != key or not isinstance(position, str) or "\0" in position:
            raise ValueError
        value = READ_POSITION[key](position)
        if key in BELOW and not 0 <= value < BELOW[key]:
            raise ValueError
        return direction == "p", value
    except (ValueError, TypeError, binascii.Error) as error:
        problem = {"field": "cursor", "code": "invalid", "detail": "Not a cursor of this list."}
        raise Invalid(errors=[problem]) from error

"""What a stream of many files is made of, whatever its format.

A reader's `feed(piece)` yields a Member where one begins, then its bytes, then None where it ends, or the error that
refuses it there; it raises StreamBroken when it can read no further. Its `finish()` raises StreamBroken unless the
stream came to its own end. A member that is refused by its form has an `error`, and neither bytes nor None follow.
"""

from dataclasses import dataclass

from portal.exceptions import Invalid, PortalError
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.transfer.names import read_content_type, read_path


@dataclass
class Member:
    """One member as it begins: its name as it came, None if that cannot be read, and what else is known.

    `size` is in bytes, None when it is not known.
    """

    name: str | None
    path: str = ""
    original_filename: str = ""
    size: int | None = None
    content_type: str = DEFAULT_CONTENT_TYPE
    error: PortalError | None = None


def make_member(raw, *, size=None, content_type=None):
    """Return the Member of these bytes of a name; a bad one carries its error."""
    member = Member(raw.decode("utf-8", "replace"), size=size)
    try:
        member.path, member.original_filename = read_path(raw)
        member.content_type = read_content_type(content_type)
    except Invalid as error:
        member.error = error
    return member

"""A reader of multipart/form-data (RFC 7578) that is fed piece by piece: its file fields are the members.

Only the boundaries frame a form: whatever is wrong between two of them is one refused member, and the next is read.
"""

from django.utils.http import parse_header_parameters

from portal.exceptions import Invalid, StreamBroken
from portal.transfer.fields import NAMELESS, read_field
from portal.transfer.members import Member

#: RFC 2046 has 70 at most; some clients are not that strict.
MAX_BOUNDARY = 200
#: The longest path, each byte of it escaped, twice, with all else that a field may say.
MAX_HEAD_BYTES = 8 * 2**10
LINE_END, HEAD_END = b"\r\n", b"\r\n\r\n"


class FormReader:
    """Reads one form; see `portal.transfer.members`. Fields that are no files, or have no file chosen, are ignored."""

    def __init__(self, boundary):
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # Before the first boundary there may be text, as in a field that is ignored; or not even a line break.
        self._buffer, self._place = LINE_END, 0
        self._in_head = self._complete = False
        #: The member whose bytes come, None while they are ignored; and how many have come.
        self._member, self._size = None, 0
        #: Whether a file without a name begins, which only its bytes tell from a field where none was chosen.
        self._nameless = False

    def feed(self, piece):
        """Yield what the next bytes of the stream tell; what follows the last boundary is ignored."""
        self._buffer, self._place = self._buffer[self._place :] + piece, 0
        more = True
        while more and not self._complete:
            more = yield from self._read_head() if self._in_head else self._read_bytes()
        if self._complete:
            self._place = len(self._buffer)

    def finish(self):
        """Raise StreamBroken unless the last boundary has come."""
        if not self._complete:
            raise StreamBroken("The form ends without its last boundary.")

    def _read_head(self):
        """Read the headers of a field, up to the empty line; return whether they are all there."""
        buffer, start = self._buffer, self._place
        # No further than headers may reach: a form of thousands of fields is not searched to its end for each.
        cut = buffer.find(self._delimiter, start, start + MAX_HEAD_BYTES + len(self._delimiter))
        last = start + MAX_HEAD_BYTES if cut < 0 else cut - len(LINE_END)
        found = [buffer.find(HEAD_END, start, last + len(HEAD_END)), cut]
        # If neither is there, the next byte may bring one that has begun already.
        end = min((place for place in found if place >= 0), default=max(start, len(buffer) - len(self._delimiter)))
        if end - start > MAX_HEAD_BYTES:
            member = Member(None, error=Invalid(f"A part of the form has more than {MAX_HEAD_BYTES} bytes of headers."))
        elif end == found[0]:
            member = read_field(buffer[start:end])
            self._place = end + len(HEAD_END)
        elif end == found[1]:
            member = Member(None, error=Invalid("A part of the form has no empty line after its headers."))
        else:
            return False
        self._in_head, self._nameless = False, member is NAMELESS
        member = None if self._nameless else member
        self._member, self._size = member if member and not member.error else None, 0
        if member:
            yield member
        return True

    def _read_bytes(self):
        """Read the bytes of a field, up to its boundary; return whether that is there."""
        buffer, start = self._buffer, self._place
        cut = buffer.find(self._delimiter, start)
        end = self._place = cut if cut >= 0 else self._end_of_bytes()
        if self._member and end > start:
            self._size += end - start
            yield buffer[start:end]
        elif self._nameless and end > start:
            self._nameless = False
            yield Member(None, error=Invalid("A file of the form has no name."))
        after = cut + len(self._delimiter)
        tail = buffer[after : after + 2]
        if cut < 0 or len(tail) < 2:
            return False
        if tail not in (LINE_END, b"--"):
            raise StreamBroken("A boundary of the form is followed by other text.")
        # The line break stays, so that headers have one before each, and an empty line may be the first.
        self._place, self._in_head, self._complete = after, tail == LINE_END, tail == b"--"
        if self._member:
            yield self._end_member()
        return True

    def _end_of_bytes(self):
        """Return where the bytes end that cannot be the beginning of a boundary."""
        buffer = self._buffer
        last = buffer.rfind(b"\r", max(self._place, len(buffer) - len(self._delimiter)))
        return last if last >= 0 and self._delimiter.startswith(buffer[last:]) else len(buffer)

    def _end_member(self):
        member, self._member = self._member, None
        if member.size in (None, self._size):
            return None
        return Invalid(f"The part has {self._size} bytes, and its Content-Length says {member.size}.")


def read_boundary(content_type):
    """Return the boundary that a Content-Type of multipart/form-data names; raises Invalid without one."""
    try:
        boundary = parse_header_parameters(content_type)[1].get("boundary", "")
    except ValueError:
        boundary = ""
    if not (0 < len(boundary) <= MAX_BOUNDARY and boundary.isascii() and boundary.isprintable()):
        raise Invalid("Content-Type: multipart/form-data needs its boundary.")
    return boundary

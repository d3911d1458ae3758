"""A reader of multipart/form-data (RFC 7578) that is fed piece by piece: its file fields are the members."""

from django.utils.http import parse_header_parameters
from multipart import MultipartError, PushMultipartParser

from portal.exceptions import Invalid, StreamBroken
from portal.transfer.members import make_member

#: RFC 2046 has 70 at most; some clients are not that strict.
MAX_BOUNDARY = 200


class FormReader:
    """Reads one form; see `portal.transfer.members`. Fields that are no files, or have no file chosen, are ignored."""

    def __init__(self, boundary):
        self._parser = PushMultipartParser(boundary)
        self._ignored = False

    def feed(self, piece):
        """Yield what the next bytes of the stream tell; what follows the last boundary is ignored."""
        try:
            for event in self._parser.parse(piece):
                if hasattr(event, "filename"):
                    yield from self._begin(event)
                elif not self._ignored:
                    yield event
        except MultipartError as error:
            raise StreamBroken(f"Not a multipart form: {error}.") from error

    def finish(self):
        """Raise StreamBroken unless the last boundary has come."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise StreamBroken("The form ends without its last boundary.") from error

    def _begin(self, segment):
        self._ignored = not segment.filename
        if not self._ignored:
            member = make_member(segment.filename.encode("utf-8"), content_type=segment.header("Content-Type"))
            self._ignored = member.error is not None
            yield member


def read_boundary(content_type):
    """Return the boundary that a Content-Type of multipart/form-data names; raises Invalid without one."""
    try:
        boundary = parse_header_parameters(content_type)[1].get("boundary", "")
    except ValueError:
        boundary = ""
    if not (0 < len(boundary) <= MAX_BOUNDARY and boundary.isascii() and boundary.isprintable()):
        raise Invalid("Content-Type: multipart/form-data needs its boundary.")
    return boundary

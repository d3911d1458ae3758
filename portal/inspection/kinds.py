"""The type of content as libmagic finds it in the first bytes, whatever the name or the sender says of it."""

import importlib
from fnmatch import fnmatchcase
from functools import cache

#: What libmagic is shown; it knows nearly everything by less.
HEAD_BYTES = 64 * 2**10


class KindsUnavailable(Exception):
    """libmagic is not on this machine."""


@cache
def _magic():
    """Return a Magic for any number of threads, and the error that it raises."""
    # Imported when it is wanted: without libmagic on the machine the import fails.
    try:
        magic = importlib.import_module("magic")
    except ImportError as error:
        raise KindsUnavailable("libmagic is missing: install it (in Debian the package libmagic1).") from error
    try:
        return magic.Magic(mime=True), magic.MagicException
    except magic.MagicException as error:
        raise KindsUnavailable(f"libmagic cannot be used: {error.message}") from error


def find_kind(head):
    """Return the media type of the content that begins with `head` (bytes), such as `image/png`.

    Text without a form that is known is `text/plain`, nothing at all `application/x-empty`, the rest, and what libmagic
    gives up on, `application/octet-stream`. Raises KindsUnavailable.
    """
    finder, gave_up = _magic()
    try:
        return finder.from_buffer(head[:HEAD_BYTES])
    except gave_up:
        return "application/octet-stream"


def is_allowed(kind, allowed):
    """Whether a media type matches one of the patterns `allowed`, such as `image/*`."""
    return any(fnmatchcase(kind, pattern.lower()) for pattern in allowed)

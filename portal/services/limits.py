"""The limits that clients can ask for, and the part grid that follows from them."""

from datetime import timedelta

from django.conf import settings

from portal.exceptions import FileTooLarge, QuotaExceeded

#: S3's limit, kept on every backend so that a file can move between them.
MAX_PARTS = 10_000
MAX_BULK_FILES = 1_000
MAX_METADATA_BYTES = 16 * 2**10
#: Neighbouring parts share no block of any file system in use.
CHUNK_STEP = 64 * 2**10


def describe_limits():
    """Return the limits as `GET /limits` shows them; sizes in bytes."""
    return {
        "max_file_size_bytes": max_file_size(),
        "chunk_size_bytes": _to_step(settings.PORTAL_CHUNK_SIZE),
        "chunk_size_min_bytes": _to_step(settings.PORTAL_CHUNK_SIZE_MIN),
        "chunk_size_max_bytes": _to_step(settings.PORTAL_CHUNK_SIZE_MAX),
        "max_parts": MAX_PARTS,
        "max_bulk_files": MAX_BULK_FILES,
        "session_ttl_seconds": int(session_lifetime().total_seconds()),
        "max_metadata_bytes": MAX_METADATA_BYTES,
    }


def session_lifetime():
    """Return how long a session that is left alone stays open."""
    return timedelta(hours=settings.PORTAL_SESSION_TTL_HOURS)


def max_file_size():
    """Return the largest file in bytes: as set, and no more than MAX_PARTS of the largest chunks hold."""
    return min(settings.PORTAL_MAX_FILE_SIZE, MAX_PARTS * _to_step(settings.PORTAL_CHUNK_SIZE_MAX))


def choose_chunk_size(total_size, wish=None):
    """Return the chunk size in bytes for a file of `total_size`: near `wish`, in bounds, at most MAX_PARTS parts.

    Raises FileTooLarge for a file over the maximum.
    """
    limit = max_file_size()
    if total_size > limit:
        raise FileTooLarge(f"The file has {total_size} bytes; at most {limit} are taken.", max_file_size_bytes=limit)
    size = max(wish or settings.PORTAL_CHUNK_SIZE, settings.PORTAL_CHUNK_SIZE_MIN)
    size = min(size, settings.PORTAL_CHUNK_SIZE_MAX)
    size = max(size, -(-total_size // MAX_PARTS))
    return _to_step(size)


def count_parts(total_size, chunk_size):
    """Return how many parts of `chunk_size` a file of `total_size` has; none when it is empty."""
    return -(-total_size // chunk_size)  # rounded up, in whole numbers


def _to_step(size):
    return -(-size // CHUNK_STEP) * CHUNK_STEP


def over_quota(quota, limit, used, wanted):
    """Return the QuotaExceeded that says so; waiting helps only where something may end and the whole would do."""
    detail = f"The quota of {quota} is {limit}; {used} are taken, {wanted} were asked for."
    error = QuotaExceeded(detail, quota=quota, limit=limit, used=used, wanted=wanted)
    if wanted > limit or quota == "batch_files":
        error.retry_after = None
    return error

"""What services tell of the storage's faults: full, or not answering."""

import logging
from contextlib import contextmanager

from django.conf import settings

from portal import exceptions
from portal.storage import base

logger = logging.getLogger("portal.storage")


@contextmanager
def storage_errors():
    """Turn the storage's exceptions into ours: no space is OutOfSpace, other faults are StorageUnavailable."""
    try:
        yield
    except base.NoSpace as error:
        logger.warning("storage is full: %s", error)
        raise exceptions.OutOfSpace from error
    except base.StorageUnavailable as error:
        logger.error("storage fails: %s", error)
        raise exceptions.StorageUnavailable from error


def refuse_when_full(storage, wanted=0):
    """Raise OutOfSpace when `wanted` more bytes would leave less than PORTAL_MIN_FREE_BYTES free."""
    if not settings.PORTAL_MIN_FREE_BYTES:
        return
    with storage_errors():
        free = storage.free_bytes()
    if free - wanted < settings.PORTAL_MIN_FREE_BYTES:
        raise exceptions.OutOfSpace

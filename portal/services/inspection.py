"""Whether content may be stored: its type against the list of the settings, and the verdict of a scanner."""

import logging

from django.conf import settings

from portal.exceptions import ContentTypeRefused, ScannerUnavailable, ScanRefused
from portal.inspection.base import ScannerFailed
from portal.inspection.kinds import HEAD_BYTES, find_kind, is_allowed
from portal.inspection.scanner import open_scanner
from portal.services.space import storage_errors
from portal.tracing import span

logger = logging.getLogger("portal.inspection")

BLOCK_BYTES = 2**20


def is_asked():
    """Whether there is anything to judge."""
    return bool(settings.PORTAL_CONTENT_TYPES or settings.PORTAL_SCANNER)


def takes_long():
    """Whether judging may take seconds: then no request does it that can leave it to a worker."""
    return bool(settings.PORTAL_SCANNER)


def inspect(key, *, storage, beat=lambda: None):
    """Let the object at `key` pass, or raise ContentTypeRefused or ScanRefused; reads it only for what is set.

    Calls `beat()` between blocks of 1 MiB and while the scanner is waited for; what it raises ends that. Raises
    ScannerUnavailable without a verdict, StorageUnavailable, FileNotFoundError.
    """
    if not is_asked():
        return
    with span("inspect"), storage_errors(), storage.open_object(key) as stored:
        if settings.PORTAL_CONTENT_TYPES:
            _refuse_kind(find_kind(stored.read(0, min(HEAD_BYTES, stored.size))))
        if settings.PORTAL_SCANNER:
            _refuse_found(_blocks(stored, beat), beat)


def find_scanner_fault():
    """Return what keeps the scanner of the settings from being asked; None when nothing does, or none is set."""
    if not settings.PORTAL_SCANNER:
        return None
    try:
        _scanner().check()
    except ScannerFailed as error:
        return str(error)
    return None


def _scanner():
    return open_scanner(settings.PORTAL_SCANNER, settings.PORTAL_SCANNER_TIMEOUT_SECONDS)


def _refuse_kind(kind):
    if not is_allowed(kind, settings.PORTAL_CONTENT_TYPES):
        raise ContentTypeRefused(f"The content is {kind}, which is not taken here.", found=kind)


def _refuse_found(blocks, beat):
    try:
        found = _scanner().scan(blocks, beat=beat)
    except ScannerFailed as error:
        logger.error("scanner fails: %s", error)
        raise ScannerUnavailable from error
    if found is not None:
        raise ScanRefused(f"The scanner refused the content: {found}")


def _blocks(stored, beat):
    for offset in range(0, stored.size, BLOCK_BYTES):
        beat()
        yield stored.read(offset, min(BLOCK_BYTES, stored.size - offset))

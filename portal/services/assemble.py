"""The work on a claim: one hash pass over the parts, a rename, and the transaction that publishes the outcome."""

import logging
import time
from datetime import timedelta
from functools import partial

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from portal import exceptions, metrics
from portal.exceptions import StatusConflict
from portal.models import UploadSession
from portal.services import cleanup
from portal.services.outcomes import record_failed, record_stored, return_parts
from portal.services.space import storage_errors
from portal.storage.base import PartsChanged, RangeBusy

logger = logging.getLogger("portal.finalize")

#: A file at neither of its two places is looked for this often before it is called damaged.
LOST_AFTER_ATTEMPTS = 5
#: And for so long, where somebody else puts the file together.
LOST_AFTER = timedelta(hours=2)
BACKOFF_LIMIT = timedelta(minutes=10)


def work_claim(claim, *, storage):
    """Finalize the claimed session as far as it goes now; repeatable, by anybody who holds the claim.

    Afterwards the session is COMPLETE or FAILED, or it is FINALIZING still: a fault of the storage is tried again
    later, and a claim that was lost is somebody else's work.
    """
    began = time.monotonic()
    try:
        _work(claim, storage)
    except StatusConflict:
        logger.info("claim of session %s was lost", claim.session.pk)
    finally:
        metrics.observe(metrics.FINALIZE_SECONDS, (claim.session.status,), time.monotonic() - began)


def _work(claim, storage):
    session = claim.session
    parts = list(session.parts.order_by("number").values_list("number", "size_bytes", "blake3", "etag"))
    etags = [(number, etag) for number, _, _, etag in parts]
    hold = partial(storage.hold, session.staging_key, session.object_key, upload=session.upload_id, etags=etags)
    try:
        with storage_errors(), hold() as held:
            claim.beat()
            failure, sha256 = _verify(session, parts, held, claim)
            if failure is None:
                held.publish()
                # The lock on the file is kept until the outcome of this is known.
                _publish(claim, sha256, storage)
            else:
                _fail(claim, failure)
    except RangeBusy:
        claim.put_off(timedelta(seconds=1), count=False)
    except PartsChanged as error:
        logger.warning("parts %s of session %s are to be sent again", error.numbers, session.pk)
        return_parts(claim, error.numbers)
    except FileNotFoundError:
        if not _is_lost(session, storage):
            claim.put_off(_backoff(session))
        else:
            logger.critical("bytes of session %s are at neither of their places", session.pk)
            _fail(claim, exceptions.BytesDamaged)
    except (exceptions.StorageUnavailable, exceptions.OutOfSpace):
        _wait_out(claim)
    else:
        if failure is not None:
            cleanup.remove_bytes(session, storage=storage, to_trash=failure is exceptions.BytesDamaged)


def _is_lost(session, storage):
    """Whether bytes that are at neither of their places have been looked for long enough."""
    # A store may go on putting parts together long after its answer was lost, and shows nothing meanwhile.
    patient = storage.locks or timezone.now() - session.status_at > LOST_AFTER
    return patient and session.attempts + 1 >= LOST_AFTER_ATTEMPTS


def _verify(session, parts, held, claim):
    """Return `(failure, sha256)`: the error that the bytes deserve, or None."""
    sizes = [size for _, size, _, _ in parts]
    if len(parts) != session.total_parts or sum(sizes) != session.total_size_bytes:
        return exceptions.BytesDamaged, ""
    sha256, digests = held.digest(sizes, beat=claim.beat)
    # Of a part that its client sent to the store, the store's own ETag is all that is known: `hold` compares that.
    same = all(known in ("", digest) for (_, _, known, _), digest in zip(parts, digests, strict=True))
    if not same or held.size != session.total_size_bytes:
        logger.critical("bytes of session %s are not those that were recorded", session.pk)
        return exceptions.BytesDamaged, sha256
    if session.declared_sha256 and session.declared_sha256 != sha256:
        return exceptions.Sha256Mismatch, sha256
    return None, sha256


def _publish(claim, sha256, storage):
    """Record the file as STORED; when the answer to COMMIT is lost, the row itself says what became of it."""
    session = claim.session
    try:
        record_stored(session, sha256=sha256, storage=storage, where=claim.held)
    except (OperationalError, InterfaceError):
        connection.close()
        if UploadSession.objects.get(pk=session.pk).status != UploadSession.Status.COMPLETE:
            raise


def _fail(claim, failure):
    record_failed(
        claim.session,
        UploadSession.Status.FAILED,
        code=failure.code,
        detail=failure.detail,
        where=claim.held,
    )


def _wait_out(claim):
    """Try again later, until the session's lifetime is over: no state lasts for ever."""
    if claim.session.expires_at and claim.session.expires_at <= timezone.now():
        _fail(claim, exceptions.StorageError)
    else:
        claim.put_off(_backoff(claim.session))


def _backoff(session):
    return min(timedelta(seconds=2**session.attempts), BACKOFF_LIMIT)

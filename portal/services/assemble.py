"""The work on a claim: one hash pass over the parts, a rename, and the transaction that publishes the outcome."""

import logging
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from portal import exceptions, metrics
from portal.exceptions import StatusConflict
from portal.models import UploadSession
from portal.models.parts import FIND_PARTS
from portal.services import cleanup
from portal.services.inspection import inspect
from portal.services.outcomes import record_failed, record_stored, record_stored_together, return_parts
from portal.services.space import storage_errors
from portal.storage.base import PartsChanged, RangeBusy
from portal.tracing import span

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
    work_claims([claim], storage=storage)


def work_claims(claims, *, storage):
    """Do what `work_claim` does for several sessions of one batch, and record what they come to together.

    The file of each is held open until then.
    """
    began, ready = time.monotonic(), []
    size = sum(claim.session.total_size_bytes for claim in claims)
    with span("finalize", ingest__files=len(claims), ingest__bytes=size), ExitStack() as holds:
        for claim in claims:
            with _lost_claim_told(claim):
                sha256 = _make_ready(claim, storage, holds)
                if sha256:
                    ready.append((claim, sha256))
        # The locks on the files are kept until the outcome of this is known.
        _publish(ready, storage)
    for claim in claims:
        metrics.observe(metrics.FINALIZE_SECONDS, (claim.session.status,), time.monotonic() - began)


@contextmanager
def _lost_claim_told(claim):
    try:
        yield
    except StatusConflict:
        logger.info("claim of session %s was lost", claim.session.pk)


def _make_ready(claim, storage, holds):
    """Return the SHA-256 of the file once its bytes are durable at their destination, its lock kept in `holds`.

    None when it did not come to that: what became of it is on record then.
    """
    session = claim.session
    parts = FIND_PARTS.rows(session_id=session.pk)
    etags = [(number, etag) for number, _, _, etag in parts]
    hold = partial(storage.hold, session.staging_key, session.object_key, upload=session.upload_id, etags=etags)
    try:
        with storage_errors(), ExitStack() as mine:
            held = mine.enter_context(hold())
            claim.beat()
            failure, sha256 = _verify(session, parts, held, claim)
            if failure is None:
                held.publish()
                failure = _judge(claim, storage)
            if failure is None:
                holds.push(mine.pop_all())
                return sha256
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
        _wait_out(claim, exceptions.StorageError)
    except exceptions.ScannerUnavailable:
        _wait_out(claim, exceptions.ScanError)
    else:
        cleanup.remove_bytes(session, storage=storage, to_trash=failure is exceptions.BytesDamaged)
    return None


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


def _judge(claim, storage):
    """Return the error for which the content is refused, or None; the bytes are at their destination."""
    try:
        inspect(claim.session.object_key, storage=storage, beat=claim.beat)
    except (exceptions.ContentTypeRefused, exceptions.ScanRefused) as refusal:
        return refusal
    return None


def _publish(ready, storage):
    """Record the files of `ready`, pairs of claim and SHA-256, as STORED: together, or one by one if one is lost."""
    if len(ready) > 1:
        outcomes = [(claim.session, sha256, claim.held) for claim, sha256 in ready]
        try:
            return _record([claim.session for claim, _ in ready], record_stored_together, outcomes, storage=storage)
        except StatusConflict:
            for claim, _ in ready:
                claim.session.refresh_from_db(from_queryset=UploadSession.objects.select_related("file__owner"))
    for claim, sha256 in ready:
        with _lost_claim_told(claim):
            session = claim.session
            _record([session], record_stored, session, sha256=sha256, storage=storage, where=claim.held)
    return None


def _record(sessions, record, *args, **options):
    """Call `record`; when the answer to COMMIT is lost, the rows themselves say what became of them."""
    try:
        record(*args, **options)
    except (OperationalError, InterfaceError):
        connection.close()
        keys = [session.pk for session in sessions]
        if UploadSession.objects.filter(pk__in=keys, status=UploadSession.Status.COMPLETE).count() < len(keys):
            raise


def _fail(claim, failure):
    record_failed(
        claim.session,
        UploadSession.Status.FAILED,
        code=failure.code,
        detail=failure.detail,
        where=claim.held,
    )


def _wait_out(claim, failure):
    """Try again later, until the session's lifetime is over: no state lasts for ever."""
    if claim.session.expires_at and claim.session.expires_at <= timezone.now():
        _fail(claim, failure)
    else:
        claim.put_off(_backoff(claim.session))


def _backoff(session):
    return min(timedelta(seconds=2**session.attempts), BACKOFF_LIMIT)

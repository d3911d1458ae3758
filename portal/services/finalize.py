"""Finalize: turn the parts of a session into a STORED file, once, whoever asks and however often."""

import threading
import time

from django.conf import settings

from portal import exceptions
from portal.exceptions import FAILURES, MissingParts, NotFound, SessionClosed, StatusConflict
from portal.models import UploadSession
from portal.services.assemble import work_claim, work_claims
from portal.services.claims import claim_session, take_over
from portal.services.inspection import takes_long
from portal.services.presign import pick_up_parts
from portal.services.sessions import read_again, still_missing
from portal.services.space import storage_turn

Status = UploadSession.Status

#: How long a call waits for work that somebody else does before it answers 202.
WAIT_SECONDS = 2.5
POLL_SECONDS = 0.05
#: Files up to this size are hashed at once, always; larger ones need a slot, so that a few callers cannot hold all
#: database threads of the process.
QUICK_BYTES = 8 * 2**20
#: After so long a call for many leaves the rest to the worker.
MANY_SECONDS = 20
#: So many of them are recorded together, and held open until then.
GROUP = 64
_slots = threading.BoundedSemaphore(2)
#: Of the threads that a process has for its database, some are left to those who do not wait.
_waiters = threading.BoundedSemaphore(6)


def finalize_session(session, *, storage):
    """Turn the parts of `session` into a STORED file and return it, or None when that goes on without the caller.

    Safe to call again: the answer is the same. Raises MissingParts (the session stays open), SessionClosed, NotFound
    (the file was deleted meanwhile), or the error that failed the session, such as Sha256Mismatch.
    """
    claim = _claim_if_open(session, storage)
    if claim is None and session.status == Status.FINALIZING:
        claim = take_over(session)  # whoever had it died, or left it: no need to wait for the worker's round
    if claim is not None:
        _work_or_leave(claim, storage)
    return _wait_for_outcome(session)


def finalize_many(batch, session_ids, *, storage):
    """Finalize sessions of a batch; return for each id, in order, its file, None while it goes on, or the PortalError.

    Waits for nobody, and hashes only small files itself, a group at a time: the worker takes the rest.
    """
    until = time.monotonic() + MANY_SECONDS
    outcomes = {}
    wanted = list(dict.fromkeys(session_ids))
    for start in range(0, len(wanted), GROUP):
        outcomes |= _finalize_group(batch, wanted[start : start + GROUP], storage, until)
    return [outcomes[pk] for pk in session_ids]


def _finalize_group(batch, session_ids, storage, until):
    known = UploadSession.objects.filter(file__batch=batch).select_related("file__owner")
    sessions, outcomes, claims = known.in_bulk(session_ids), {}, []
    for pk in session_ids:
        try:
            if pk not in sessions:
                raise NotFound
            claim = _claim_if_open(sessions[pk], storage)
        except exceptions.PortalError as error:
            outcomes[pk] = error
            continue
        if claim is not None and _is_quick(claim.session) and time.monotonic() < until:
            claims.append(claim)
        elif claim is not None:
            claim.leave()
    if claims:
        _work_quickly(claims, storage)
    return {pk: outcomes.get(pk) or _outcome_or_error(sessions[pk]) for pk in session_ids}


def _outcome_or_error(session):
    try:
        return _outcome(session)
    except exceptions.PortalError as error:
        return error


def finalize_again(*, storage, limit=100, hurried=lambda: False):
    """Work on up to `limit` finalizes that wait for somebody; return how many sessions were worked on.

    Once `hurried()` is true, what is under way is given back, to be begun anew by another.
    """
    waiting = UploadSession.objects.claimable().select_related("file__owner").order_by("lease_until")
    worked = 0
    for session in waiting[:limit]:
        claim = take_over(session, hurried=hurried)
        if claim is not None:
            work_claim(claim, storage=storage)
            worked += 1
    return worked


def _claim_if_open(session, storage):
    """Return our claim, or None when the session is being finalized or has ended."""
    while session.status in UploadSession.OPEN:
        if session.completed_parts < session.total_parts:
            # Clients may have sent some to the store themselves.
            pick_up_parts(session, storage=storage)
            missing = still_missing(session)
            if missing:
                raise MissingParts(missing_parts=missing)
        try:
            return claim_session(session)
        except StatusConflict:
            read_again(session)
    return None


def _work_or_leave(claim, storage):
    """Do the work here when it is short, or a slot is free; else leave it to the worker at once."""
    size = claim.session.total_size_bytes
    if _is_quick(claim.session):
        _work_quickly([claim], storage)
    elif takes_long():
        claim.leave()
    elif size <= settings.PORTAL_FINALIZE_INLINE_BYTES and _slots.acquire(blocking=False):
        try:
            work_claim(claim, storage=storage)
        finally:
            _slots.release()
    else:
        claim.leave()


def _is_quick(session):
    return session.total_size_bytes <= QUICK_BYTES and not takes_long()


def _work_quickly(claims, storage):
    try:
        with storage_turn(storage):
            work_claims(claims, storage=storage)
    except exceptions.StorageUnavailable:
        for claim in claims:
            claim.leave()


def _wait_for_outcome(session):
    """Return the file once the session is COMPLETE; None when it is FINALIZING for longer than a call waits."""
    if session.status != Status.FINALIZING:
        return _outcome(session)
    if not _waiters.acquire(blocking=False):
        return None
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while session.status == Status.FINALIZING and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            read_again(session)
    finally:
        _waiters.release()
    return _outcome(session)


def _outcome(session):
    if session.status == Status.FINALIZING:
        return None
    if session.status == Status.COMPLETE:
        if session.file is None:
            raise NotFound
        return session.file
    if session.status in UploadSession.OPEN:
        # The storage had other bytes for some: they were taken off the record.
        raise MissingParts(missing_parts=still_missing(session))
    if session.status == Status.FAILED:
        raise FAILURES.get(session.error["code"], SessionClosed)(session.error["detail"])
    raise SessionClosed

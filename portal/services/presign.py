"""Parts that clients send to the store themselves, by signed URLs: where to, and taking up what has arrived.

The portal sees no byte of them. A part is put on record as the store lists it, under a claim like any other, and
finalize names that very ETag: bytes that come under the same URL later make the part missing again, never another file.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db import IntegrityError
from django.utils import timezone

from portal.exceptions import (
    Invalid,
    MissingParts,
    PartBusy,
    PartConflict,
    PartOutOfRange,
    PresignUnsupported,
    SessionClosed,
    StorageUnavailable,
)
from portal.models import UploadPart, UploadSession
from portal.services.part_claims import claim_parts
from portal.services.part_records import (
    bare_etag,
    describe_part,
    expected_size,
    find_part,
    insert_parts,
    refuse_other_size,
)
from portal.services.sessions import received_ranges
from portal.services.space import storage_errors, storage_turn
from portal.services.uploads import LOST, ensure_upload, refuse_elsewhere

#: The most URLs in one answer.
MAX_URLS = 100
#: Parts that are taken up in one transaction.
BLOCK = 100


def presign_parts(session, ranges, *, storage):
    """Return `(parts, received)`: where to PUT what is not on record of `ranges`, and the ranges of all that is.

    Raises PresignUnsupported, SessionClosed, PartOutOfRange, Invalid for more than MAX_URLS, StorageUnavailable.
    """
    _require_open(session, storage)
    numbers = _numbers(ranges, session)
    received = received_ranges(session)
    wanted = [number for number in numbers if not any(first <= number <= last for first, last in received)]
    if wanted:
        # A plain PUT would be good for as long as its URL: after the file is STORED too.
        session.upload_id = ensure_upload(session.pk, storage=storage, presigned=True)
    now, parts = timezone.now(), []
    for number in wanted:
        size = session.part_size(number)
        with storage_errors():
            signed = storage.sign_part(session.object_key, upload=session.upload_id, number=number, length=size)
        expires_at = now + timedelta(seconds=signed.seconds)
        place = {"method": "PUT", "url": signed.url, "headers": signed.headers, "expires_at": expires_at}
        parts.append({"part_number": number, "size_bytes": size, **place})
    return parts, received


def complete_part(session, number, *, storage, etag=None):
    """Put part `number`, which the client has sent to the store, on record; return it as the API shows it.

    `etag` is what the store answered to the client, if it says. Raises PresignUnsupported, SessionClosed,
    PartOutOfRange, MissingParts (it is not there), WrongPartSize, PartConflict (another ETag), PartBusy.
    """
    _require_open(session, storage)
    expected_size(session, number)
    part = find_part(session.pk, number) or _take_one(session, number, storage, etag)
    _refuse_other_etag(etag, part)
    return describe_part(number, part.size_bytes, part.blake3, part.etag)


def pick_up_parts(session, *, storage):
    """Put on record all parts of an open session that the store has, of the right size; return how many."""
    # Without an upload (its only part became another, and begins anew) nothing that a client sent is anywhere.
    if not storage.presigns or not session.presigned or not session.upload_id:
        return 0
    known = set(session.parts.values_list("number", flat=True))
    found = [
        part
        for part in _listed(session, storage)
        if part.number not in known
        and 1 <= part.number <= session.total_parts
        and part.size == session.part_size(part.number)
    ]
    blocks = [found[start : start + BLOCK] for start in range(0, len(found), BLOCK)]
    return sum(_record(session, block) for block in blocks)


def _require_open(session, storage):
    if not storage.presigns:
        raise PresignUnsupported
    if session.status not in UploadSession.OPEN:
        raise SessionClosed
    refuse_elsewhere(session, storage)


def _numbers(ranges, session):
    """Return the part numbers of `ranges`, each once, in order."""
    numbers: set[int] = set()
    for first, last in ranges:
        for number in (first, last):
            expected_size(session, number)
        if last < first:
            raise PartOutOfRange(f"A range goes from its first part to its last: [{last}, {first}].")
        if last - first >= MAX_URLS:
            raise Invalid(f"At most {MAX_URLS} parts at once.")
        numbers.update(range(first, last + 1))
    if len(numbers) > MAX_URLS:
        raise Invalid(f"At most {MAX_URLS} parts at once.")
    return sorted(numbers)


def _listed(session, storage, after=0) -> Iterable:
    try:
        with storage_turn(storage), storage_errors():
            yield from storage.list_parts(session.object_key, session.upload_id, after=after)
    except FileNotFoundError as error:
        raise StorageUnavailable(LOST) from error


def _refuse_other_etag(etag, part):
    if etag and bare_etag(etag) != bare_etag(part.etag):
        raise PartConflict("The store has other bytes for this part.")


def _take_one(session, number, storage, etag):
    found = None
    if session.upload_id:
        found = next(iter(_listed(session, storage, after=number - 1)), None)
    if found is None or found.number != number:
        raise MissingParts("The store does not have this part.", missing_parts=[[number, number]])
    refuse_other_size(number, session.part_size(number), found.size)
    if number in session.disputed_parts and not etag:
        raise PartConflict("The store had other bytes for this part: say the ETag of yours.")
    _refuse_other_etag(etag, found)
    _record(session, [found], named=bool(etag))
    part = find_part(session.pk, number)
    if part is None:
        raise PartBusy
    return part


def _record(session, listed, *, named=False):
    """Put on record those of `listed` parts that nobody else is writing; return how many.

    Disputed ones only if the client has `named` their ETag.
    """
    claim = claim_parts(session.pk, [part.number for part in listed])
    if claim is None:
        return 0
    try:
        # Whoever had a claim before may have recorded a part meanwhile, or a finalize taken one off the record. From
        # here on neither happens: to get on record a part needs our claim.
        known = set(session.parts.filter(number__in=claim.numbers).values_list("number", flat=True))
        if not named:
            session.refresh_from_db(fields=["disputed_parts"])
            known.update(session.disputed_parts)
        parts = [
            UploadPart(session_id=session.pk, number=part.number, size_bytes=part.size, etag=part.etag)
            for part in listed
            if part.number in claim.numbers and part.number not in known
        ]
        if parts:
            insert_parts(session.pk, parts, claim)
            claim = claim.forget()
    except (IntegrityError, PartBusy):
        return 0
    finally:
        if claim is not None:
            claim.release()
    return len(parts)

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
    WrongPartSize,
)
from portal.models import UploadPart, UploadSession
from portal.services.part_claims import claim_parts
from portal.services.part_records import describe_part, find_part, insert_parts
from portal.services.parts import LOST
from portal.services.sessions import missing_ranges, received_ranges
from portal.services.space import storage_errors, storage_turn
from portal.services.uploads import ensure_upload

#: The most URLs in one answer.
MAX_URLS = 100
#: Parts that are taken up in one transaction.
BLOCK = 100


def presign_parts(session, ranges, *, storage):
    """Return `(parts, received)`: where to PUT what is not on record of `ranges`, and the ranges of all that is.

    Raises PresignUnsupported, SessionClosed, PartOutOfRange, Invalid for more than MAX_URLS, StorageUnavailable.
    """
    _require_open(session, storage)
    numbers = _numbers(ranges, session.total_parts)
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
    _numbers([[number, number]], session.total_parts)
    part = find_part(session.pk, number) or _take_one(session, number, storage, etag)
    if etag and etag.strip('"') != part.etag.strip('"'):
        raise PartConflict
    return describe_part(number, part.size_bytes, part.blake3, part.etag)


def pick_up_parts(session, *, storage):
    """Put on record all parts of an open session that the store has, of the right size; return how many."""
    session.refresh_from_db(fields=["presigned", "upload_id", "disputed_parts"])
    if not storage.presigns or not session.presigned:
        return 0
    known = {*session.parts.values_list("number", flat=True), *session.disputed_parts}
    found = [
        part
        for part in _listed(session, storage)
        if part.number not in known and 1 <= part.number <= session.total_parts and _fits(session, part)
    ]
    blocks = [found[start : start + BLOCK] for start in range(0, len(found), BLOCK)]
    return sum(_record(session, block) for block in blocks)


def _require_open(session, storage):
    if not storage.presigns:
        raise PresignUnsupported
    if session.status not in UploadSession.OPEN:
        raise SessionClosed
    if not session.object_key:
        raise StorageUnavailable(LOST)  # begun while another storage was set


def _numbers(ranges, total):
    """Return the part numbers of `ranges`, each once, in order."""
    numbers: set[int] = set()
    for first, last in ranges:
        if not 1 <= first <= last <= total:
            raise PartOutOfRange(f"The session has the parts 1 to {total}." if total else "It has no parts.")
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


def _fits(session, part):
    return part.size == session.part_size(part.number)


def _take_one(session, number, storage, etag):
    found = None
    if session.upload_id:
        found = next(iter(_listed(session, storage, after=number - 1)), None)
    if found is None or found.number != number:
        raise MissingParts("The store does not have this part.", missing_parts=[[number, number]])
    expected = session.part_size(number)
    if not _fits(session, found):
        detail = f"Part {number} has {expected} bytes, not {found.size}."
        raise WrongPartSize(detail, expected_size_bytes=expected)
    if number in session.disputed_parts and not etag:
        raise PartConflict("The store had other bytes for this part: say the ETag of yours.")
    if etag and etag.strip('"') != found.etag.strip('"'):
        raise PartConflict("The store has other bytes for this part.")
    _record(session, [found])
    part = find_part(session.pk, number)
    if part is None:
        raise PartBusy
    return part


def _record(session, listed):
    """Put on record those of `listed` parts that nobody else is writing; return how many."""
    claim = claim_parts(session.pk, [part.number for part in listed])
    if claim is None:
        return 0
    try:
        # Whoever had a claim before may have recorded the part meanwhile.
        known = set(session.parts.filter(number__in=claim.numbers).values_list("number", flat=True))
        parts = [
            UploadPart(session_id=session.pk, number=part.number, size_bytes=part.size, etag=part.etag)
            for part in listed
            if part.number in claim.numbers and part.number not in known
        ]
        if not parts:
            return 0
        insert_parts(session.pk, parts, claim)
    except (IntegrityError, PartBusy):
        return 0
    finally:
        claim.release()
    return len(parts)


def still_missing(session):
    """Return the ranges of part numbers that are not on record."""
    return missing_ranges(received_ranges(session), session.total_parts)

"""Parts on record: how they get there, together with what their session counts, and how they are shown."""

import re

from django.db import IntegrityError, InterfaceError, OperationalError, connection

from portal.exceptions import PartOutOfRange, WrongPartSize
from portal.models import UploadPart
from portal.models.parts import FIND_PART, INSERT_PART
from portal.services.limits import session_lifetime
from portal.services.pages import read_page
from portal.services.transactions import write_transaction
from portal.services.transitions import record_part_in

MD5 = re.compile("[0-9a-f]{32}")


def expected_size(session, number):
    """Return the size in bytes that part `number` of the session has; raises PartOutOfRange."""
    total = session.total_parts
    if not 1 <= number <= total:
        raise PartOutOfRange(f"The session has the parts 1 to {total}." if total else "It has no parts.")
    return session.part_size(number)


def refuse_other_size(number, expected, size):
    """Raise WrongPartSize unless the part has the `expected` size."""
    if size != expected:
        raise WrongPartSize(f"Part {number} has {expected} bytes, not {size}.", expected_size_bytes=expected)


def bare_etag(etag):
    """Return an ETag without the quotes that some leave out."""
    return etag.strip('"')


def describe_part(number, size_bytes, blake3, etag):
    """Return a part as the API shows it; the digest is BLAKE3, or MD5 where only the store saw the bytes."""
    digest = {"algorithm": "blake3", "value": blake3}
    if not blake3:
        value = bare_etag(etag)
        digest = {"algorithm": "md5" if MD5.fullmatch(value) else "etag", "value": value}
    return {"part_number": number, "size_bytes": size_bytes, "digest": digest}


def list_parts(session, fields, **page):
    """Return a Page of the session's recorded parts, by number."""
    return read_page(session.parts.all(), fields, key="number", **page)


def find_part(session_id, number):
    """Return the part on record, or None; one query."""
    for size_bytes, blake3, etag in FIND_PART.rows(session_id=session_id, number=number):
        return UploadPart(session_id=session_id, number=number, size_bytes=size_bytes, blake3=blake3, etag=etag)
    return None


def put_on_record(part, claim=None):
    """Record one part and count it, in one transaction that also ends the `claim` on it; return what is on record.

    That is `part`, or what somebody else recorded first, or None: it is unknown then, and the part is to be sent again.
    Raises SessionClosed, PartBusy when the claim was lost.
    """
    try:
        # COMMIT is sent only after the last statement has answered.
        with write_transaction():
            INSERT_PART.write(**{field.attname: getattr(part, field.attname) for field in part._meta.concrete_fields})
            record_part_in(part.session_id, size=part.size_bytes, lifetime=session_lifetime())
            if claim is not None:
                claim.settle()
    except IntegrityError:
        return find_part(part.session_id, part.number)
    except (OperationalError, InterfaceError):
        # The answer to COMMIT may be what was lost: the row itself says.
        connection.close()
        return find_part(part.session_id, part.number)
    return part


def insert_parts(session_id, parts, claim):
    """Record the parts that `claim` is for, all or none, and count them.

    Raises IntegrityError when one is on record, SessionClosed, PartBusy when the claim was lost.
    """
    with write_transaction():
        UploadPart.objects.bulk_create(parts)
        size = sum(part.size_bytes for part in parts)
        record_part_in(session_id, size=size, count=len(parts), lifetime=session_lifetime())
        claim.settle()

"""Parts: the protocol that makes a 2xx mean "these bytes are on stable storage and recorded".

The order of the steps is the safety of it; aikb/architecture.md, "Writing a part", says why each is there.
"""

import hashlib

from blake3 import blake3
from django.db import IntegrityError, InterfaceError, OperationalError, connection

from portal import access
from portal.exceptions import (
    BodyIncomplete,
    DatabaseUnavailable,
    DigestMismatch,
    PartConflict,
    PartOutOfRange,
    SessionClosed,
    StorageUnavailable,
    WrongPartSize,
)
from portal.models import UploadPart, UploadSession
from portal.models.parts import FIND_PART, INSERT_PART
from portal.models.sessions import FIND_OPEN
from portal.services.limits import session_lifetime
from portal.services.pages import read_page
from portal.services.space import refuse_when_full, storage_errors
from portal.services.transactions import write_transaction
from portal.services.transitions import raise_fence, record_part_in


def describe_part(part):
    """Return a part as the API shows it; the digest is BLAKE3, lower-case hex."""
    return {
        "part_number": part.number,
        "size_bytes": part.size_bytes,
        "digest": {"algorithm": "blake3", "value": part.blake3},
    }


def list_parts(session, fields, **page):
    """Return a Page of the session's recorded parts, by number."""
    return read_page(session.parts.all(), fields, key="number", **page)


def begin_part(caller, session_id, number, length, *, storage, expected_sha256=None):
    """Check everything that can be known before the body, and return the PartWriter that takes it.

    `length` is the body's size in bytes. Raises InsufficientScope, NotFound, SessionClosed, PartOutOfRange,
    WrongPartSize, OutOfSpace; two queries.
    """
    caller.require(access.UPLOAD)
    session = access.get_session_grid(caller, session_id)
    if session.status not in UploadSession.OPEN:
        raise SessionClosed
    if not 1 <= number <= session.total_parts:
        raise PartOutOfRange(
            f"The session has the parts 1 to {session.total_parts}." if session.total_parts else "It has no parts."
        )
    expected = session.part_size(number)
    if length != expected:
        raise WrongPartSize(f"Part {number} has {expected} bytes, not {length}.", expected_size_bytes=expected)
    writer = PartWriter(session, number, length, storage, expected_sha256)
    if not writer.recorded:
        refuse_when_full(storage, length)
    return writer


class PartWriter:
    """One request that writes one part: begin_part, acquire until True, write…, sync, record, close.

    Every method blocks; `acquire` and `record` talk to the database, `write` and `sync` to the storage. When the part
    is `recorded` already, bytes are only hashed and compared, and `acquire` is not called.
    """

    def __init__(self, session, number, length, storage, expected_sha256=None):
        self.session, self.number, self.length, self.storage = session, number, length, storage
        self.expected_sha256 = expected_sha256
        self.range = None
        self.seen = 0
        # What is written is hashed once, by its range; only what is compared is hashed here.
        self._blake3 = blake3()
        self._digest = self._blake3.hexdigest
        self._sha256 = hashlib.sha256() if expected_sha256 else None
        self._part = self._find()

    @property
    def session_id(self):
        """The session's id."""
        return self.session.pk

    @property
    def recorded(self):
        """Whether the part is on record already, so that its bytes are never written again."""
        return self._part is not None

    def acquire(self):
        """Take the byte range for this writer; False when another writer holds it: come again later.

        Raises SessionClosed, OutOfSpace or StorageUnavailable. May find the part recorded meanwhile.
        """
        with storage_errors():
            if self.range is None:
                self.range = self._open_range()
            if not self.range.try_lock():
                return False
            # Whoever held the range before may have recorded the part, or the session may have closed meanwhile.
            self._look_again()
            if not self.recorded and self.range.holds_data():
                # An earlier writer died here, and its COMMIT may still be on its way: make it land or fail first.
                with write_transaction():
                    raise_fence(self.session_id)
                self._look_again()
            if self.recorded:
                self.close()
            else:
                self.range.reserve()
                self._digest = self.range.blake3_hex
        return True

    def write(self, data):
        """Hash the next bytes of the body and write them to their place."""
        self.seen += len(data)
        if self._sha256:
            self._sha256.update(data)
        if self.recorded:
            self._blake3.update(data)
        else:
            with storage_errors():
                self.range.write(data)

    def sync(self):
        """Make the bytes durable; raises BodyIncomplete or DigestMismatch when they are not what was announced."""
        if self.seen != self.length:
            raise BodyIncomplete
        if self._sha256 and self._sha256.digest() != self.expected_sha256:
            raise DigestMismatch
        if not self.recorded:
            with storage_errors():
                self.range.sync()

    def record(self):
        """Put the part on record, or compare it with what is; return the part's answer.

        Raises PartConflict (other bytes are on record), SessionClosed, DatabaseUnavailable (not recorded: send again).
        """
        if not self.recorded:
            self._part = self._insert()
        if self._part.blake3 != self._digest():
            raise PartConflict
        return describe_part(self._part)

    def close(self):
        """Close the descriptor, which gives up the range; safe to call twice."""
        if self.range is not None:
            self.range.close()

    def _open_range(self):
        offset = (self.number - 1) * self.session.chunk_size_bytes
        try:
            return self.storage.open_part(self.session.staging_key, offset=offset, length=self.length)
        except FileNotFoundError as error:
            # An abort, an expiry or a finalize took the staging file; otherwise the disk lost it.
            self._look_again()
            raise StorageUnavailable("The bytes of this session cannot be found.") from error

    def _look_again(self):
        if not FIND_OPEN.rows(id=self.session_id):
            raise SessionClosed
        self._part = self._find()

    def _find(self):
        for size_bytes, digest in FIND_PART.rows(session_id=self.session_id, number=self.number):
            return UploadPart(session_id=self.session_id, number=self.number, size_bytes=size_bytes, blake3=digest)
        return None

    def _insert(self):
        part = UploadPart(
            session_id=self.session_id,
            number=self.number,
            size_bytes=self.length,
            blake3=self._digest(),
            sha256=self._sha256.hexdigest() if self._sha256 else "",
        )
        try:
            # COMMIT is sent only after the UPDATE of the session has answered.
            with write_transaction():
                INSERT_PART.write(
                    **{field.attname: getattr(part, field.attname) for field in part._meta.concrete_fields}
                )
                record_part_in(self.session_id, size=self.length, lifetime=session_lifetime())
        except IntegrityError:
            part = self._find()
        except (OperationalError, InterfaceError):
            # The answer to COMMIT may be what was lost: the row itself says.
            connection.close()
            part = self._find()
        if part is None:
            raise DatabaseUnavailable("The part could not be recorded; send it again.")
        return part

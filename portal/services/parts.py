"""Parts: the protocol that makes a 2xx mean "these bytes are on stable storage and recorded".

The order of the steps is the safety of it; aikb/architecture.md, "Writing a part", says why each is there.
"""

import hashlib

from blake3 import blake3

from portal import access
from portal.exceptions import (
    BodyIncomplete,
    DatabaseUnavailable,
    DigestMismatch,
    PartBusy,
    PartConflict,
    PartOutOfRange,
    SessionClosed,
    StorageUnavailable,
    WrongPartSize,
)
from portal.models import UploadPart, UploadSession
from portal.models.sessions import FIND_OPEN
from portal.services.cleanup import remove_bytes
from portal.services.part_claims import claim_parts
from portal.services.part_records import describe_part, find_part, put_on_record
from portal.services.space import refuse_when_full, storage_errors
from portal.services.transactions import write_transaction
from portal.services.transitions import raise_fence
from portal.services.uploads import ensure_upload
from portal.storage.base import KeyTaken

LOST = "The bytes of this session cannot be found."


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
        self._claim = self._fault = None
        self.seen = 0
        # What is written is hashed once, by its range; only what is compared is hashed here.
        self._compared = blake3()
        self._digest = self._compared.hexdigest
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
            if not self._lock():
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
            self._compared.update(data)
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
            self._sync()

    def record(self):
        """Put the part on record, or compare it with what is; return the part's answer.

        Raises PartConflict (other bytes are on record), SessionClosed, DatabaseUnavailable (not recorded: send again).
        """
        if self._fault is not None:
            self._explain_fault()
        if not self.recorded:
            self._part = self._insert()
        known = self._part.blake3 or self._part.etag.strip('"')
        if known != self._digest():
            raise PartConflict
        return describe_part(self.number, self._part.size_bytes, self._part.blake3, self._part.etag)

    def close(self):
        """Close the descriptor, which gives up the range; safe to call twice. Gives up a claim: asks the database."""
        if self.range is not None:
            self.range.close()
        if self._claim is not None:
            claim, self._claim = self._claim, None
            claim.release()

    def _sync(self):
        try:
            if self._claim is not None:
                self._claim.require()
            with storage_errors():
                self.range.sync()
        except (FileNotFoundError, KeyTaken) as error:
            # What that means the rows say, and `record` asks them.
            self._fault = error

    def _explain_fault(self):
        """Raise what kept the bytes from their place: the session is closed, an upload gone, a key taken."""
        self._look_again()
        if isinstance(self._fault, KeyTaken):
            ensure_upload(self.session_id, storage=self.storage)
            raise PartBusy("Another request wrote other bytes for this part, and was not recorded; send it again.")
        raise StorageUnavailable(LOST) from self._fault

    def _lock(self):
        if not self.range.try_lock():
            return False
        if not self.storage.locks and self._claim is None:
            self._claim = claim_parts(self.session_id, [self.number])
            if self._claim is not None:
                self.range.require = self._claim.require
        return self.storage.locks or self._claim is not None

    def _open_range(self):
        if not (self.storage.locks or self.session.upload_id or self.session.total_parts == 1):
            raise StorageUnavailable(LOST)  # begun while another storage was set
        offset = (self.number - 1) * self.session.chunk_size_bytes
        options = {"offset": offset, "length": self.length, "number": self.number, "upload": self.session.upload_id}
        try:
            return self.storage.open_part(self.session.staging_key, **options)
        except FileNotFoundError as error:
            # An abort, an expiry or a finalize took the staging file; otherwise the disk lost it.
            self._look_again()
            raise StorageUnavailable(LOST) from error

    def _look_again(self):
        if not FIND_OPEN.rows(id=self.session_id):
            raise SessionClosed
        self._part = self._find()

    def _find(self):
        part = find_part(self.session_id, self.number)
        if part is not None and not part.blake3:
            # Sent to the store by the client: what that calls it, the MD5 as a rule, is all that is known.
            self._compared = hashlib.md5(usedforsecurity=False)
            self._digest = self._compared.hexdigest
        return part

    def _insert(self):
        part = UploadPart(
            session_id=self.session_id,
            number=self.number,
            size_bytes=self.length,
            blake3=self._digest(),
            sha256=self._sha256.hexdigest() if self._sha256 else "",
            etag=self.range.etag,
        )
        try:
            recorded = put_on_record(part, self._claim)
        except SessionClosed:
            # If it died while these bytes were on their way, they came after those that clean-up has removed.
            if self._claim is not None:
                remove_bytes(self.session, storage=self.storage)
            raise
        if recorded is None:
            raise DatabaseUnavailable("The part could not be recorded; send it again.")
        if recorded is part:
            self._claim = self._claim and self._claim.forget()
        return recorded

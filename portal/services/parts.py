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
    SessionClosed,
)
from portal.models import UploadPart, UploadSession
from portal.services.part_places import PartPlace, refuse_closed_session
from portal.services.part_records import (
    bare_etag,
    describe_part,
    expected_size,
    find_part,
    put_on_record,
    refuse_other_size,
)
from portal.services.space import refuse_when_full, storage_errors
from portal.services.transactions import write_transaction
from portal.services.transitions import raise_fence


def begin_part(caller, session_id, number, length, *, storage, expected_sha256=None):
    """Check everything that can be known before the body, and return the PartWriter that takes it.

    `length` is the body's size in bytes. Raises InsufficientScope, NotFound, SessionClosed, PartOutOfRange,
    WrongPartSize, OutOfSpace; two queries.
    """
    caller.require(access.UPLOAD)
    session = access.get_session_grid(caller, session_id)
    if session.status not in UploadSession.OPEN:
        raise SessionClosed
    refuse_other_size(number, expected_size(session, number), length)
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
        self.place = PartPlace(session, number, length, storage)
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
            if not self.place.take():
                return False
            # Whoever held the range before may have recorded the part, or the session may have closed meanwhile.
            self._look_again()
            if not self.recorded and self.place.range.holds_data():
                # An earlier writer died here, and its COMMIT may still be on its way: make it land or fail first.
                with write_transaction():
                    raise_fence(self.session_id)
                self._look_again()
            if self.recorded:
                self.close()
            else:
                self.place.range.reserve()
                self._digest = self.place.range.blake3_hex
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
                self.place.range.write(data)

    def sync(self):
        """Make the bytes durable; raises BodyIncomplete or DigestMismatch when they are not what was announced."""
        if self.seen != self.length:
            raise BodyIncomplete
        if self._sha256 and self._sha256.digest() != self.expected_sha256:
            raise DigestMismatch
        if not self.recorded:
            self.place.sync()

    def record(self):
        """Put the part on record, or compare it with what is; return the part's answer.

        Raises PartConflict (other bytes are on record), SessionClosed, DatabaseUnavailable (not recorded: send again).
        """
        if self.place.fault is not None:
            self._look_again()
            if not self.recorded:
                self.place.explain()
            elif not self._part.blake3:
                # Somebody sent it to the store meanwhile; what to compare with is known from the next time on.
                raise PartBusy
        if not self.recorded:
            self._part = self._insert()
        known = self._part.blake3 or bare_etag(self._part.etag)
        if known != self._digest():
            raise PartConflict
        return describe_part(self.number, self._part.size_bytes, self._part.blake3, self._part.etag)

    def close(self):
        """Close the descriptor, which gives up the range; safe to call twice. Gives up a claim: asks the database."""
        self.place.close()

    def _look_again(self):
        refuse_closed_session(self.session_id)
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
            etag=self.place.range.etag,
        )
        try:
            recorded = put_on_record(part, self.place.claim)
        except SessionClosed:
            self.place.give_back()
            raise
        if recorded is None:
            raise DatabaseUnavailable("The part could not be recorded; send it again.")
        if recorded is part:
            self.place.settled()
        return recorded

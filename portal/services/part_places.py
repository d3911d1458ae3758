"""Where one part's bytes go: a range of the staging file under its lock, or under a claim where there are no locks."""

from portal.exceptions import PartBusy, SessionClosed, StorageUnavailable
from portal.models.sessions import FIND_OPEN
from portal.services.cleanup import remove_bytes
from portal.services.part_claims import claim_parts
from portal.services.space import storage_errors
from portal.services.uploads import LOST, ensure_upload, refuse_elsewhere
from portal.storage.base import KeyTaken


def refuse_closed_session(session_id):
    """Raise SessionClosed unless the session is open; one query."""
    if not FIND_OPEN.rows(id=session_id):
        raise SessionClosed


class PartPlace:
    """The place of part `number` for one writer: take until True, write to its `range`, sync, settle, close.

    `take`, `explain`, `give_back` and `close` talk to the database.
    """

    def __init__(self, session, number, length, storage):
        self.session, self.number, self.length, self.storage = session, number, length, storage
        self.range = self.claim = self.fault = None

    def take(self):
        """Take it; False while another writer has it: come again. Raises SessionClosed, StorageUnavailable."""
        if self.range is None:
            self.range = self._open()
        if not self.range.try_lock():
            return False
        if not self.storage.locks and self.claim is None:
            self.claim = claim_parts(self.session.pk, [self.number])
            if self.claim is not None:
                self.range.require = self.claim.require
        return self.storage.locks or self.claim is not None

    def sync(self):
        """Make the bytes durable; a `fault` that says that they have no place is kept for `explain`."""
        try:
            if self.claim is not None:
                self.claim.require()
            with storage_errors():
                self.range.sync()
        except (FileNotFoundError, KeyTaken) as error:
            self.fault = error

    def explain(self):
        """Raise what kept the bytes of an open session from their place: an upload is gone, a key is taken."""
        if isinstance(self.fault, KeyTaken):
            ensure_upload(self.session.pk, storage=self.storage)
            raise PartBusy("Another request wrote other bytes for this part, and was not recorded; send it again.")
        raise StorageUnavailable(LOST) from self.fault

    def settled(self):
        """The claim was ended by the transaction that put the part on record."""
        if self.claim is not None:
            self.claim = self.claim.forget()

    def give_back(self):
        """The session was closed: if it is dead, these bytes came after those that clean-up has removed."""
        if self.claim is not None:
            remove_bytes(self.session, storage=self.storage)

    def close(self):
        """Give up the range, and the claim; safe to call twice."""
        if self.range is not None:
            self.range.close()
        if self.claim is not None:
            claim, self.claim = self.claim, None
            claim.release()

    def _open(self):
        refuse_elsewhere(self.session, self.storage)
        offset = (self.number - 1) * self.session.chunk_size_bytes
        options = {"offset": offset, "length": self.length, "number": self.number, "upload": self.session.upload_id}
        try:
            return self.storage.open_part(self.session.staging_key, **options)
        except FileNotFoundError as error:
            # An abort, an expiry or a finalize took the staging file; otherwise the disk lost it.
            refuse_closed_session(self.session.pk)
            raise StorageUnavailable(LOST) from error

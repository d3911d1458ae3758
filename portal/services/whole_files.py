"""Files that come whole, in one request: made durable and recorded together, each with an outcome of its own.

Bytes first, row second: an arrival's bytes lie durable at a key that no row names before the one transaction that
makes its file STORED. There is no session, and nothing to take up again: what breaks off is sent anew.
"""

from portal import access
from portal.exceptions import PathTaken, PortalError
from portal.models import IngestFile
from portal.models.looks import once
from portal.models.prepared_rows import find_rows
from portal.services import cleanup
from portal.services.arrivals import judge_arrivals, refuse_unjudged
from portal.services.batches import TO_JOIN, refuse_closed
from portal.services.paths import decide, decide_early, matches
from portal.services.space import refuse_when_full, storage_errors
from portal.services.usage import make_room
from portal.services.whole_records import record_one, recorded_together


def begin_files(caller, batch_id, *, storage):
    """Return the FileGroup that takes the caller's files into the batch, or into none.

    Raises InsufficientScope, NotFound.
    """
    caller.require(access.UPLOAD)
    batch = access.get_batch(caller, batch_id) if batch_id else None
    return FileGroup(caller.user, batch, storage)


def store_together(groups):
    """Store, judge and record what is in several groups of one owner and batch as one; their paths must differ."""
    first = groups[0]
    whole = FileGroup(first.owner, first.batch, first.storage)
    for group in groups:
        whole.arrivals += group.arrivals
    whole.store()
    whole.judge()
    whole.record()


class FileGroup:
    """Files that are stored together: add…, look, store, judge, record; afterwards each has its outcome.

    `look`, `record` talk to the database, `store`, `judge`, `close` to the storage; every method but `add` blocks.
    """

    def __init__(self, owner, batch, storage):
        self.owner, self.batch, self.storage = owner, batch, storage
        self.arrivals = []

    def add(self, arrival):
        """Take one more in; its path must differ from those of the others."""
        self.arrivals.append(arrival)

    def refuse_early(self, arrival, paths=()):
        """Refuse what can be known before the bytes: a path that is taken, a closed batch, a full disk.

        Where the path has a STORED file, the bytes will only be compared. In `one_look`, `paths` are those of all who
        will ask. Raises PathTaken, BatchSealed, BatchCompleted, BatchCancelled, OutOfSpace, QuotaExceeded.
        """
        file = self._files_on(paths or (arrival.path,)).get(arrival.path)
        if file and file.status == IngestFile.Status.STORED:
            if arrival.length not in (None, file.size_bytes):
                raise PathTaken
            arrival.compared = True
            return
        decide_early(arrival, file, self.batch)
        refuse_when_full(self.storage, arrival.length or 0)
        make_room(self.owner.id, self.batch, arrival)

    def refuse_closed(self):
        """Refuse a batch that takes no file at all any more, and a full disk, before anything comes.

        A sealed one may have files that are to be sent again, and one that others have completed some that were
        declared. Raises BatchCancelled, BatchSealed, BatchCompleted, OutOfSpace.
        """
        if self.batch.cancelled_at or (self.batch.completed_at and not self.batch.pending_count):
            refuse_closed(self.batch, TO_JOIN)
        refuse_when_full(self.storage)

    def look(self):
        """Give those an outcome whose path, or whose batch, allows no other."""
        self.look_at(self._pending())

    def look_at(self, arrivals):
        """Give those of `arrivals` an outcome whose path, or whose batch as it is now, allows no other."""
        if self.batch is not None:
            self.batch.refresh_from_db()
        found = self._files_on(tuple(arrival.path for arrival in arrivals))
        for arrival in arrivals:
            decide(arrival, found.get(arrival.path), self.batch)

    def store(self):
        """Make the bytes of those without an outcome durable, in one round of syncs."""
        for arrival in self._pending():
            try:
                if arrival.reopens and not matches(arrival.reopens, arrival.size, arrival.sha256):
                    raise PathTaken("The path was declared with another size or SHA-256.")
                arrival.spill(self.storage)
            except PortalError as error:
                arrival.refuse(error)
        pending = self._pending()
        try:
            refuse_when_full(self.storage)
            with storage_errors():
                self.storage.finish_objects([arrival.object for arrival in pending])
        except PortalError as error:
            for arrival in pending:
                arrival.refuse(error)

    def judge(self):
        """Give those an outcome whose content, durable by now, is refused, or without a verdict."""
        judge_arrivals([arrival for arrival in self._pending() if not arrival.compared], storage=self.storage)

    def record(self, *, keep=None):
        """Record those without an outcome: all in one transaction, or each in its own when that is refused.

        `keep(file)` runs in the transaction. What was not judged is refused.
        """
        refuse_unjudged(self._pending())
        pending = self._pending()
        if len(pending) < 2 or not recorded_together(self, pending, keep):
            for arrival in self._pending():
                record_one(self, arrival, keep)

    @property
    def left(self):
        """Those that have bytes in the storage which no row names."""
        return [arrival for arrival in self.arrivals if arrival.object is not None and not arrival.named]

    def close(self):
        """Close what is open, and remove the bytes of those that were not recorded for certain."""
        for arrival in self.left:
            self.drop(arrival)
        self.arrivals = []

    def drop(self, arrival):
        """Close and remove the bytes of one that is not recorded."""
        if arrival.object is None:
            return
        arrival.object.close()
        if not arrival.unsure:  # else the sweep takes them: what became of a COMMIT without an answer may show later
            cleanup.discard_object(arrival.key, storage=self.storage)

    def _pending(self):
        return [arrival for arrival in self.arrivals if arrival.pending]

    def _files_on(self, paths):
        if self.batch is None:
            return {}
        return {file.path: file for file in once(find_rows, IngestFile, "path", paths, ("batch_id", self.batch.id))}

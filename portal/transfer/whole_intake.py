"""The file of a request for one file: its headers are looked at, its bytes stored alone or with those of others."""

import contextvars
import time

from django.db import InterfaceError, OperationalError

from portal.exceptions import Invalid
from portal.models.looks import one_look
from portal.serializers.files import file_members
from portal.services.arrivals import Arrival
from portal.services.idempotency import claimed_key, make_fingerprint, read_key
from portal.services.inspection import is_asked
from portal.services.whole_files import begin_files, store_together
from portal.storage import get_storage
from portal.transfer import pools
from portal.transfer.auth import identify
from portal.transfer.body import read_framed_length
from portal.transfer.digests import read_digests
from portal.transfer.names import read_content_type
from portal.transfer.together import Together


def _begin_together(items):
    """Begin those that have not begun, and give each its bytes; return the intakes without an error."""
    begins = [intake for intake, _ in items if not intake.begun]
    with one_look():
        _each([(intake, ()) for intake in begins], Intake.read_headers)
        paths = tuple(intake.arrival.path for intake in begins if not intake.error)
        _each([(intake, (paths,)) for intake in begins], Intake.ask)
        _each([(intake, (pieces,)) for intake, pieces in items], Intake.take)
    return [intake for intake, _ in items if not intake.error]


def _each(items, step):
    """Take one step for each intake that has no error; what it raises is the outcome of that one request."""
    fault = None
    for intake, args in items:
        if intake.error:
            continue
        try:
            if fault:
                raise fault
            intake.context.run(step, intake, *args)
        except (OperationalError, InterfaceError) as error:
            # The database answers none of the others either, and each would wait for that by itself.
            intake.error = fault = error
        except Exception as error:  # noqa: BLE001 - see above
            intake.error = error


def _store_together(items):
    """Store what several requests bring for one batch: `(intake, pieces)`; return the answer, or error, of each."""
    begun = _begin_together(items)
    left = [intake for intake in begun if not intake.arrival.compared]
    while left:
        # Of those on one path, the next one is looked at when the one before is on record.
        first: dict[str, Intake] = {}
        for intake in left:
            first.setdefault(intake.arrival.path, intake)
        try:
            store_together([intake.group for intake in first.values()])
        except Exception as error:  # noqa: BLE001 - it is the outcome of those that have none yet
            for intake in left:
                intake.arrival.refuse(error)
            break
        left = [intake for intake in left if first[intake.arrival.path] is not intake]
    return [intake.end() for intake, _ in items]


STORE = Together(_store_together, "both")


class Intake:
    """The one file of a request, with what its answer needs; every method but `joins` and small writes blocks."""

    def __init__(self, exchange, batch_id, read_names):
        self.context = contextvars.copy_context()
        self._exchange, self._batch_id, self._read_names = exchange, batch_id, read_names
        self.group = self.arrival = self.error = self._caller = self._key = None
        #: Whether the headers have passed.
        self.begun = False
        self._asked_at = time.monotonic()
        self._recorded = False

    @property
    def unclean(self):
        """Whether something may be open, or to be removed."""
        return not self._recorded and (self.begun or not self.error)

    @property
    def may_join(self):
        """Whether it can be stored together with others: who waits for a scanner or a network holds nobody up."""
        return self._batch_id is not None and get_storage().swift and not is_asked()

    def begin(self):
        """Check all that the headers tell; nothing of the body has been looked at yet."""
        try:
            self.read_headers()
            self.ask()
        except Exception as error:
            self.error = error
            raise

    def read_headers(self):
        """Check who asks, and what they say of the file; refused is what has stood in line for too long."""
        pools.refuse_late(self._asked_at)
        exchange = self._exchange
        self._caller = identify(exchange)
        self.group = begin_files(self._caller, self._batch_id, storage=get_storage())
        # Somebody else's batch is 404 whatever else is wrong with the request: the texts are read after that.
        path, name = self._read_names()
        if exchange.values(b"content-range"):
            # RFC 9110, 14.5: else a piece would be stored as the whole.
            raise Invalid("Content-Range: a file comes whole here; send it in parts by an upload session.")
        self.arrival = Arrival(
            path=path,
            original_filename=name,
            content_type=read_content_type(exchange.text(b"content-type")),
            length=read_framed_length(exchange),
            sha256s=read_digests(exchange),
        )
        self._key = None if self._batch_id else read_key(exchange.text(b"idempotency-key"))

    def ask(self, paths=()):
        """Check whether there is a place for the file: on its path, in its batch, on the disk.

        `paths` are those of all who ask at the same time.
        """
        self.group.refuse_early(self.arrival, paths)
        self.group.add(self.arrival)
        self.begun = True

    def take(self, pieces):
        """Take all of the body at once."""
        self.write(pieces)
        self.arrival.finish()

    def joins(self, pieces):
        """Whether it is stored and recorded together with others, in the folder of a batch: small, and new."""
        held = not self.arrival.compared and self.arrival.holds(sum(map(len, pieces)))
        return held and self.may_join

    def close(self):
        """Close what is open, and remove what is not recorded."""
        if self.group:
            self.group.close()

    def write(self, pieces):
        """Take the next pieces of the body."""
        for piece in pieces:
            self.arrival.write(piece, storage=self.group.storage)

    def finish(self, pieces):
        """Take the last pieces and make the bytes durable; raises what is wrong with them."""
        self.write(pieces)
        self.arrival.finish()
        if not self.arrival.compared:
            self.group.store()
        self._raise_error()

    def judge(self):
        """Have the content judged; raises why it is refused."""
        self.group.judge()
        self._raise_error()

    def record(self):
        """Record the file; return the status, headers and members of the answer."""
        if self.arrival.compared:
            self.group.look()
        with claimed_key(self._caller, self._key, self._fingerprint()) as claim:
            if claim and claim.answer is not None:
                return 200, {"Idempotent-Replayed": "true"}, claim.answer
            self.group.record(keep=claim and (lambda file: claim.keep(file_members(file))))
            self._raise_error()
        return self._answer()

    def end(self):
        """Return the status, headers and members of the answer, or the error, of what was stored or compared."""
        error = self.error or self.arrival.error
        try:
            return error or (self.record() if self.arrival.compared else self._answer())
        except Exception as fault:  # noqa: BLE001 - it is the outcome of this one request
            return fault

    def _answer(self):
        file, created = self.arrival.file, self.arrival.created
        self._recorded = created
        if not created:
            return 200, {}, file_members(file)
        return 201, {"Location": f"/files/{file.id}"}, file_members(file)

    def _fingerprint(self):
        arrival = self.arrival
        told = [arrival.original_filename, arrival.content_type, arrival.size, arrival.sha256]
        return make_fingerprint(self._exchange.method, self._exchange.scope["path"], told)

    def _raise_error(self):
        if self.arrival.error:
            raise self.arrival.error

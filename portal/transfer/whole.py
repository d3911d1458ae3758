"""One request, one file: refused on its headers alone, or hashed as it comes in, made durable, recorded."""

import contextvars

import orjson
from django.db import InterfaceError, OperationalError

from portal.content_digest import read_sha256
from portal.models.prepared import one_look
from portal.serializers.files import file_members
from portal.services.arrivals import Arrival
from portal.services.idempotency import claimed_key, make_fingerprint, read_key
from portal.services.inspection import is_asked
from portal.services.whole_files import begin_files, store_together
from portal.storage import get_storage
from portal.transfer.auth import identify
from portal.transfer.body import Body, read_content_length
from portal.transfer.names import read_content_type, read_filename, read_path
from portal.transfer.pools import Jobs
from portal.transfer.receive import GATHER_BYTES
from portal.transfer.together import Together

#: The digests that a client may send with a file; there is one representation of it, so they mean the same.
DIGESTS = {b"content-digest": "Content-Digest", b"repr-digest": "Repr-Digest"}


async def put_file(exchange, batch_id, path):
    """Store the body as the file of this path in a batch; any error means that nothing was stored."""
    await _take_in(exchange, batch_id, lambda: read_path(path))


async def post_file(exchange):
    """Store the body as a file without a batch; any error means that nothing was stored."""
    await _take_in(exchange, None, lambda: (None, read_filename(exchange.text(b"content-disposition"))))


async def _take_in(exchange, batch_id, read_names):
    jobs, begun = Jobs(), []
    try:
        request = contextvars.copy_context(), begun, exchange, batch_id, read_names
        await jobs.run_together(BEGIN, batch_id or exchange, request)
        intake = begun[0]
        body = exchange.body = Body(exchange.receive, intake.arrival.length)
        async with body.paced():
            rest = await _store(body, jobs, intake)
        if intake.joins and not rest:
            intake.arrival.finish()
            status, headers, members = await jobs.run_together(END, batch_id, intake)
        else:
            await jobs.run_io(intake.finish, rest)
            await jobs.run_judges(intake.judge)
            status, headers, members = await jobs.run_database(intake.record)
    finally:
        if begun and begun[0].unclean:
            await jobs.close(begun[0].group.close)
    headers |= {"Content-Type": "application/json"}
    await exchange.answer(status, headers, orjson.dumps(members, option=orjson.OPT_UTC_Z))


def _begin_together(requests):
    """Begin each; those whose bytes may come to lie in one folder need one sync of it."""
    beside, outcomes = None, []
    with one_look():
        for context, begun, *request in requests:
            try:
                begun.append(context.run(_begin, *request, beside))
                beside = begun[0].group.shared_key
                outcomes.append(None)
            except (OperationalError, InterfaceError) as error:
                # The database answers none of the others either, and each would wait for that by itself.
                return outcomes + [error] * (len(requests) - len(outcomes))
            except Exception as error:  # noqa: BLE001 - it is the outcome of this one request
                outcomes.append(error)
    return outcomes


def _begin(exchange, batch_id, read_names, beside):
    """Check all that the headers tell, and return the Intake; nothing of the body has been read yet."""
    caller = identify(exchange)
    group = begin_files(caller, batch_id, storage=get_storage())
    # Somebody else's batch is 404 whatever else is wrong with the request: the texts are read after that.
    path, name = read_names()
    sha256s = [read_sha256(exchange.text(header), name) for header, name in DIGESTS.items()]
    arrival = Arrival(
        path=path,
        original_filename=name,
        content_type=read_content_type(exchange.text(b"content-type")),
        length=read_content_length(exchange),
        sha256s=[sha256 for sha256 in sha256s if sha256],
        beside=beside,
    )
    key = None if batch_id else read_key(exchange.text(b"idempotency-key"))
    group.refuse_early(arrival)
    return Intake(caller, group, arrival, key, exchange)


def _end_together(intakes):
    """Make what several requests brought for one batch durable and record it; return the answer, or error, of each."""
    left = intakes
    while left:
        # Of those on one path, the next one is looked at when the one before is on record.
        first: dict[str, Intake] = {}
        for intake in left:
            first.setdefault(intake.arrival.path, intake)
        try:
            store_together([intake.group for intake in first.values()])
        except Exception as error:  # noqa: BLE001 - it is the outcome of those that have none yet
            for intake in intakes:
                intake.arrival.refuse(error)
            break
        left = [intake for intake in left if first[intake.arrival.path] is not intake]
    return [intake.end() for intake in intakes]


BEGIN, END = Together(_begin_together, "database"), Together(_end_together, "both")


async def _store(body, jobs, intake):
    """Take the body while it comes in; return the pieces that are still to be written."""
    pieces, size = [], 0
    while not body.complete:
        piece = await body.read()
        if not pieces and intake.arrival.holds(len(piece)):
            intake.write([piece])
            continue
        pieces.append(piece)
        size += len(piece)
        if size >= GATHER_BYTES:
            # The server reads on from the client meanwhile, into a buffer of its own.
            await jobs.run_io(intake.write, pieces)
            pieces, size = [], 0
    return pieces


class Intake:
    """The one file of a request, with what its answer needs; every method but `write` in memory blocks."""

    def __init__(self, caller, group, arrival, key, exchange):
        self.caller, self.group, self.arrival, self.key = caller, group, arrival, key
        self.method, self.path = exchange.method, exchange.scope["path"]
        group.add(arrival)
        #: Whether something is open, or to be removed.
        self.unclean = True

    @property
    def joins(self):
        """Whether it is stored and recorded together with others, in the folder of a batch: small, and new."""
        held = self.arrival.object is None and not self.arrival.compared
        return held and self.group.batch is not None and self.group.storage.swift and not is_asked()

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
        with claimed_key(self.caller, self.key, self._fingerprint()) as claim:
            if claim and claim.answer is not None:
                return 200, {"Idempotent-Replayed": "true"}, claim.answer
            self.group.record(keep=claim and (lambda file: claim.keep(file_members(file))))
            self._raise_error()
        return self._answer()

    def end(self):
        """Return the status, headers and members of the answer, or the error, of what was recorded."""
        return self.arrival.error or self._answer()

    def _answer(self):
        file, created = self.arrival.file, self.arrival.created
        self.unclean = not created
        if not created:
            return 200, {}, file_members(file)
        return 201, {"Location": f"/files/{file.pk}"}, file_members(file)

    def _fingerprint(self):
        arrival = self.arrival
        told = [arrival.original_filename, arrival.content_type, arrival.size, arrival.sha256]
        return make_fingerprint(self.method, self.path, told)

    def _raise_error(self):
        if self.arrival.error:
            raise self.arrival.error

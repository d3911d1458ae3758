"""Members on their way in: stored in groups as they come, each told of when it is durable, or refused, in order.

Many small members share one round of syncs and one transaction, and none is told as stored before both.
"""

import asyncio
from functools import partial

from django.utils import timezone

from portal.exceptions import BodyIncomplete, PortalError, StreamBroken, TooSlow
from portal.services.arrivals import SMALL_BYTES, Arrival
from portal.services.paths import refuse_repeated
from portal.transfer.members import Member
from portal.transfer.receive import GATHER_BYTES
from portal.transfer.repeats import Repeats
from portal.transfer.results import render_refused, render_stored

#: What one group holds at most: results, and bytes in memory; and how long it waits for more while nothing comes.
GROUP_FILES, GROUP_BYTES, GROUP_SECONDS = 128, 2 * 2**20, 0.25


class Stream:
    """The members of one request on their way: which one is coming, and which wait for their group's commit."""

    def __init__(self, jobs, group, results):
        self.jobs, self.group, self.results = jobs, group, results
        #: The member that is coming, and its file unless that is refused.
        self.member = self.arrival = None
        #: What is to be told with the next commit: results of refused members, and arrivals, in order.
        self._waiting = []
        self._held = 0
        #: Pieces of a large member that are still to be written.
        self._pieces, self._gathered = [], 0
        self._repeats, self._begun_at = Repeats(), timezone.now()

    async def take_in(self, body, reader):
        """Take all members in; a stream that breaks off, or cannot be read, ends with one more result."""
        broken = None
        try:
            with body.paced():
                await self._read(body, reader)
            reader.finish()
        except (BodyIncomplete, TooSlow, StreamBroken) as error:
            broken = error
        await self._commit()
        if broken:
            await self._refuse_member(broken)
            await self._commit()

    async def _read(self, body, reader):
        """Feed the body to the reader; while nothing comes, commit what has come."""
        reading = None
        try:
            while not body.complete:
                reading = asyncio.ensure_future(body.read())
                if self._waiting:
                    await asyncio.wait([reading], timeout=GROUP_SECONDS)
                    if not reading.done():
                        await _to_its_end(self._commit())
                for event in reader.feed(await reading):
                    await self._take(event)
        finally:
            if reading is not None:
                reading.cancel()

    async def _take(self, event):
        if isinstance(event, Member):
            await self._begin_member(event)
        elif self.arrival is not None:
            try:
                if isinstance(event, PortalError):
                    raise event
                await (self._end_member() if event is None else self._write(event))
            except PortalError as error:
                await self._refuse_member(error)

    async def _begin_member(self, member):
        self.member = member
        try:
            if member.error:
                raise member.error
            await self._begin_arrival(member)
        except PortalError as error:
            await self._refuse_member(error)

    async def _begin_arrival(self, member):
        if self._repeats.meet(member.path):
            # Whether it is the second one of this stream shows when what came before is on record.
            await self._commit()
            await self.jobs.run_database(partial(refuse_repeated, self.group.batch, member.path, since=self._begun_at))
        arrival = Arrival(
            path=member.path,
            original_filename=member.original_filename,
            content_type=member.content_type,
            length=member.size,
        )
        if (member.size or 0) > SMALL_BYTES:
            # Those before it do not wait for a large one.
            await self._commit()
            await self.jobs.run_database(self.group.refuse_early, arrival)
        self.arrival = arrival

    async def _write(self, data):
        if not self._pieces and self.arrival.holds(len(data)):
            return self.arrival.write(data, storage=self.group.storage)
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= GATHER_BYTES:
            await self._write_gathered()

    async def _write_gathered(self):
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        await self.jobs.run_io(_write_pieces, self.arrival, pieces, self.group.storage)

    async def _end_member(self):
        if self._pieces:
            await self._write_gathered()
        self.arrival.finish()
        self.group.add(self.arrival)
        self._waiting.append(self.arrival)
        self._held += self.arrival.size
        large = self.arrival.size > SMALL_BYTES
        self.member = self.arrival = None
        if large or self._held >= GROUP_BYTES or len(self._waiting) >= GROUP_FILES:
            await self._commit()

    async def _refuse_member(self, error):
        """Tell that the member that is coming is refused, or that the stream broke off between two."""
        member, arrival = self.member, self.arrival
        self.member = self.arrival = None
        self._pieces, self._gathered = [], 0
        self._waiting.append(render_refused(member and (member.path or member.name), error))
        if arrival is not None and arrival.object is not None:
            await self.jobs.run_io(self.group.drop, arrival)
        if len(self._waiting) >= GROUP_FILES:
            await self._commit()

    async def _commit(self):
        """Make all that waits durable, record it, and tell of it."""
        waiting, self._waiting, self._held = self._waiting, [], 0
        group = self.group
        if group.arrivals:
            await self.jobs.run_database(group.look)
            await self.jobs.run_io(group.store)
            await self.jobs.run_judges(group.judge)
            await self.jobs.run_database(group.record)
            if group.left:
                await self.jobs.run_io(group.close)
            group.arrivals = []
        if waiting:
            await self.results.add([_render(outcome) for outcome in waiting])
            # Thousands that are refused one after the other wait for nothing: the other requests have their turn here.
            await asyncio.sleep(0)


def _render(outcome):
    """Return the result of an arrival; one of a member that was refused before is that already."""
    if isinstance(outcome, dict):
        return outcome
    return render_refused(outcome.path, outcome.error) if outcome.error else render_stored(outcome.path, outcome.file)


def _write_pieces(arrival, pieces, storage):
    for piece in pieces:
        arrival.write(piece, storage=storage)


async def _to_its_end(coroutine):
    """Await what must not be left half done when this request is cut off or cancelled meanwhile."""
    task = asyncio.ensure_future(coroutine)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise

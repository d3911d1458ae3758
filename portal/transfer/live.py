"""The counters of a batch as they move, as Server-Sent Events: a thousand who listen cost one query a second.

An event is a state and no step: a listener that was away or slow gets the newest one, and nothing is kept for it.
"""

import asyncio
import hashlib
import logging

import orjson

from portal.exceptions import ServerBusy
from portal.problems import as_portal_error
from portal.serializers.batches import PROGRESS_FIELDS, render_progress
from portal.services.progress import read_batches, watch_batch
from portal.transfer.auth import identify
from portal.transfer.pools import Jobs
from portal.transfer.stream import send_blocks

logger = logging.getLogger("portal.live")

#: How often all batches that somebody listens to are read; a change is told within a second.
POLL_SECONDS = 0.9
#: A comment that keeps proxies from closing a silent connection, and shows who has gone.
HEARTBEAT_SECONDS = 15
#: A stream ends after so long, so that a token that was revoked is asked for again; clients come back by themselves.
LIFETIME_SECONDS = 900
#: Listeners of one process: connections must be left for uploads.
MAX_LISTENERS = 2000
HEARTBEAT = b": \n\n"
#: How long a client waits before it comes back.
BEGIN = b"retry: 2000\n\n"
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class State:
    """What one event tells: its bytes on the wire, its id, and whether nothing follows it."""

    def __init__(self, row):
        data = orjson.dumps(render_progress(row), option=orjson.OPT_UTC_Z)
        self.id = hashlib.blake2b(data, digest_size=8).hexdigest()
        self.block = b"id: %s\nevent: batch\ndata: %s\n\n" % (self.id.encode(), data)
        self.last = row["completed_at"] is not None or row["cancelled_at"] is not None


class Topic:
    """One batch that somebody listens to: its newest state, and what wakes the listeners when there is a newer one."""

    def __init__(self, state):
        self.state = state
        self.listeners = 0
        self.moved = asyncio.Event()

    def tell(self, row):
        """Take over what was read, and wake the listeners if anything is new in it."""
        state = State(row)
        if state.id != self.state.id:
            self.state = state
            self.moved.set()
            self.moved = asyncio.Event()


class Hub:
    """The batches that are listened to in this process; a task reads all of them at once while there are any."""

    def __init__(self):
        self.topics = {}
        self.listeners = 0
        self.closed = False
        self._task = None

    def close(self):
        """End every stream: the process stops, and its clients come back to another one."""
        self.closed = True
        for topic in self.topics.values():
            topic.moved.set()

    def join(self, batch_id, row):
        """Return the Topic of a batch whose counters were just read as `row`; raises ServerBusy.

        A topic that is there already keeps its own state: what two threads have read has no order.
        """
        if self.listeners >= MAX_LISTENERS:
            raise ServerBusy("As many listen as the server can hold; ask GET /batches/{id} now and then instead.")
        topic = self.topics.get(batch_id)
        if topic is None:
            topic = self.topics[batch_id] = Topic(State(row))
        topic.listeners += 1
        self.listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._poll())
        return topic

    def leave(self, batch_id, topic):
        """One listener less; a batch without any is read no more."""
        topic.listeners -= 1
        self.listeners -= 1
        if not topic.listeners and self.topics.get(batch_id) is topic:
            del self.topics[batch_id]

    async def _poll(self):
        await asyncio.sleep(POLL_SECONDS)
        while self.topics:
            # Those that join meanwhile have a newer state than what this query finds.
            asked = dict(self.topics)
            try:
                rows = await Jobs().run_database(read_batches, list(asked), PROGRESS_FIELDS)
            except Exception as error:
                if as_portal_error(error) is None:
                    logger.exception("counters could not be read")
                rows = {}
            for batch_id, row in rows.items():
                asked[batch_id].tell(row)
            await asyncio.sleep(POLL_SECONDS)


hub = Hub()


async def stream_batch(exchange, batch_id):
    """Send the batch's counters whenever they move, until it is completed or cancelled; resumed by Last-Event-ID."""
    row = await Jobs().run_database(_begin, exchange, batch_id)
    topic = hub.join(batch_id, row)
    try:
        seen = exchange.text(b"last-event-id")
        if topic.state.last and topic.state.id == seen:
            # What tells a browser not to come back.
            return await exchange.answer(204, {"Cache-Control": "no-store"})
        await exchange.start(200, HEADERS)
        await send_blocks(exchange, Listener(topic, seen).next_block)
    finally:
        hub.leave(batch_id, topic)


def _begin(exchange, batch_id):
    return watch_batch(identify(exchange), batch_id, PROGRESS_FIELDS)


class Listener:
    """One stream: what was sent last, and what comes next."""

    def __init__(self, topic, seen):
        self.topic, self.seen = topic, seen
        self.begun = self.ended = False
        self.until = asyncio.get_running_loop().time() + LIFETIME_SECONDS

    async def next_block(self):
        """Return the next bytes, b"" at the end: a state that was not sent yet, or a comment when nothing has moved."""
        if not self.begun:
            self.begun = True
            return BEGIN
        if self.ended or hub.closed or asyncio.get_running_loop().time() >= self.until:
            return b""
        if self.topic.state.id == self.seen:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self.topic.moved.wait()
            except TimeoutError:
                return HEARTBEAT
            if hub.closed:
                return b""
        state = self.topic.state
        self.seen, self.ended = state.id, state.last
        return state.block

"""The dispatcher: hands events out and sends what is due, many at once, never in a transaction."""

import logging
import random
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from django.db import Error as AnyDatabaseError
from django.db import close_old_connections, connections

from portal.exceptions import PortalError
from portal.runner.base import Outcome
from portal.services.deliveries import (
    Turns,
    claim_due,
    hand_out,
    message_of,
    record_outcomes,
)
from portal.services.due_rows import endpoints_with_due
from portal.services.endpoints import note_environment, target_of
from portal.services.events import number_events

logger = logging.getLogger("portal.dispatch")

#: How often it looks for events while nothing is under way.
POLL_SECONDS = 0.25
LONGEST_PAUSE = 30
#: Messages under way at once in one process; to one endpoint.
SLOTS = 64
SLOTS_OF_ONE = 16
#: To one that is not steady: its last attempt failed or was slow, or there was none; to all of these together.
SLOTS_OF_UNSTEADY = 1
SLOTS_OF_ALL_UNSTEADY = 32
#: How long it waits for what is under way before it records: a round costs much the same for one as for many.
LINGER_SECONDS = 0.02
#: How often it asks whether its connection still answers; one that does not is closed by the fault, too.
CHECK_SECONDS = 1.0
#: From here on an answer is slow.
SLOW_MILLISECONDS = 2000


class Dispatcher:
    """Sends what is due until it is told to stop; only its own thread asks the database, the others only send."""

    def __init__(self, *, runner, stopped):
        #: `stopped(seconds)` waits and is true when a stop is asked for.
        self.runner, self.stopped = runner, stopped
        #: What came of the attempts, by the status that it led to; FAILED ones are tried again.
        self.counts = Counter()
        self._threads = ThreadPoolExecutor(SLOTS, thread_name_prefix="send")
        self._under_way = {}
        #: The ids of the endpoints whose last attempt was a quick success.
        self._steady = set()
        self._noted = False
        self._turns = Turns()
        self._pause, self._checked_at = POLL_SECONDS, 0.0

    def run(self):
        """Work until a stop is asked for; what is under way then is brought to its end and recorded."""
        with self._threads:
            while not self.stopped(0 if self._under_way and self._pause == POLL_SECONDS else self._pause):
                self.round()
            while self._under_way and self.round(claim=False):
                pass
        connections.close_all()

    def run_once(self):
        """Number and send all that is due now and return the counts."""
        with self._threads:
            while number_events() + self._work() or self._under_way:
                pass
        return self.counts

    def round(self, *, claim=True):
        """Do what is due now; return False when a fault of the database ended it early."""
        if time.monotonic() - self._checked_at >= CHECK_SECONDS:
            close_old_connections()
            self._checked_at = time.monotonic()
        try:
            self._work(claim=claim)
        except (PortalError, AnyDatabaseError) as error:
            # What is under way stays noted; it is recorded once the database answers, or due again after its lease.
            logger.warning("dispatcher waits: %s", error)
            connections.close_all()
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            return False
        self._pause = POLL_SECONDS
        return True

    def _work(self, *, claim=True):
        """Return how much there was to do, but for what is still under way."""
        if self._under_way:
            wait(self._under_way, timeout=LINGER_SECONDS)
        done = self._record()
        if claim:
            done += self._prepare() + self._send_due()
        if self._under_way and not done:
            wait(self._under_way, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        return done

    def _prepare(self):
        if not self._noted:
            note_environment()
            self._noted = True
        return hand_out(self._turns)

    def _send_due(self):
        under_way = Counter(delivery.endpoint_id for delivery in self._under_way.values())
        endpoints = [endpoint for endpoint in endpoints_with_due() if self._free_slots_of(endpoint.pk, under_way) > 0]
        if not endpoints:
            return 0
        random.shuffle(endpoints)  # whoever comes last may find no slot; it is not always the same one
        claimed = claim_due(endpoints, lambda endpoint, more: self._free_slots_of(endpoint.pk, under_way + more))
        targets = {endpoint.pk: target_of(endpoint) for endpoint in {delivery.endpoint for delivery in claimed}}
        for delivery in claimed:
            target, message = targets[delivery.endpoint_id], message_of(delivery)
            attempt = self._threads.submit(self.runner.send, target, message)
            self._under_way[attempt] = delivery
        return len(claimed)

    def _free_slots_of(self, endpoint_id, under_way):
        """Those that are slow or dead have few, also all of them together, so that the others find some."""
        taken, left = under_way[endpoint_id], SLOTS - under_way.total()
        if endpoint_id in self._steady:
            return min(SLOTS_OF_ONE - taken, left)
        unsteady = sum(count for other, count in under_way.items() if other not in self._steady)
        return min(SLOTS_OF_UNSTEADY - taken, SLOTS_OF_ALL_UNSTEADY - unsteady, left)

    def _record(self):
        ended = [attempt for attempt in self._under_way if attempt.done()]
        if not ended:
            return 0
        # Whoever deletes or replays some of them takes the rows in this order too.
        ended.sort(key=lambda attempt: self._under_way[attempt].pk)
        outcomes = [(self._under_way[attempt], _outcome_of(attempt)) for attempt in ended]
        statuses = record_outcomes(outcomes)
        for attempt in ended:
            del self._under_way[attempt]
        for (delivery, outcome), status in zip(outcomes, statuses, strict=True):
            self._note(delivery, outcome, status)
        return len(ended)

    def _note(self, delivery, outcome, status):
        steady = outcome.delivered and outcome.milliseconds < SLOW_MILLISECONDS
        (self._steady.add if steady else self._steady.discard)(delivery.endpoint_id)
        self.counts[{"PENDING": "failed", None: "lost"}.get(status) or status.lower()] += 1
        if not outcome.delivered:
            said = outcome.status_code or outcome.error
            logger.warning("event %s was not delivered: %s, now %s", delivery.event_id, said, status)
        if outcome.gone:
            logger.error("endpoint %s answered 410: it is disabled, and its events wait", delivery.endpoint_id)


def _outcome_of(attempt):
    fault = attempt.exception()
    if fault is None:
        return attempt.result()
    # A runner raises nothing: a defect of ours is no reason to hold up everything else.
    logger.error("a runner failed", exc_info=fault)
    return Outcome(error=type(fault).__name__)

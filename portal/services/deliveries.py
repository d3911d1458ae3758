"""Deliveries: made for each event and endpoint, claimed when due, and what came of each attempt."""

import random
import time
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import orjson
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from portal.exceptions import StatusConflict
from portal.models import Delivery, OutboxEvent
from portal.runner.base import Message
from portal.services.due_rows import (
    endpoints_behind,
    go_along_the_index,
    hold_deliveries,
    hold_due,
    lease_held,
    owners_endpoints_behind,
)
from portal.services.endpoints import disable_endpoint, hears
from portal.services.transactions import write_transaction
from portal.services.transitions import advance, deliver_claimed, update_claimed

Status = Delivery.Status

#: Longer than any attempt takes, so that two workers never send the same one under one claim.
LEASE = timedelta(seconds=60)
#: Events handed to the endpoint of the environment in one transaction; to one of an owner's: about what it is sent in
#: a round.
BLOCK = 500
BLOCK_OF_OWNERS = 20
#: Endpoints of owners that have their turn in one round, and after how long none begins its own: whoever waits for the
#: end of the round, such as what is due for the environment, waits for no more.
TURNS = 10
TURNS_SECONDS = 0.05
#: Attempts that a delivery remembers.
HISTORY = 20


class Turns:
    """Whose turn it is to be handed events: each endpoint of an owner's has one before any has its second."""

    def __init__(self):
        self.last = UUID(int=0)

    def next_ones(self):
        """Yield up to TURNS endpoints of owners that are behind, those first that come after who had the last turn."""
        for endpoint in owners_endpoints_behind(after=self.last, limit=TURNS):
            self.last = endpoint.pk
            yield endpoint


def hand_out(turns=None):
    """Make deliveries of events that an endpoint was not handed yet; return how many events were handed out.

    A block to the endpoint of the environment, then one to each of the owners' whose turn it is by `turns` (a Turns),
    so that none waits for the backlog of another. An endpoint is handed events by their number, which they get after
    their commit, so that it misses none; one transaction makes the deliveries and moves its number on, so that none is
    made twice.
    """
    done, until = sum(_hand_to(endpoint) for endpoint in endpoints_behind()), time.monotonic() + TURNS_SECONDS
    for endpoint in (turns or Turns()).next_ones():
        done += _hand_to(endpoint)
        if time.monotonic() > until:
            break
    return done


def _hand_to(endpoint):
    rows, block = OutboxEvent.objects.filter(seq__gt=endpoint.last_seq).order_by("seq"), BLOCK
    if endpoint.owner_id is not None:
        rows, block = rows.filter(owner=endpoint.owner_id), BLOCK_OF_OWNERS
    events = list(rows.values_list("id", "seq", "event_type")[:block])
    made = [Delivery(event_id=pk, endpoint=endpoint) for pk, _, kind in events if hears(endpoint, kind)]
    for delivery in made:
        delivery.due_at = Now()
    with write_transaction():
        held = type(endpoint).objects.filter(pk=endpoint.pk, last_seq=endpoint.last_seq)
        if not events or not held.update(last_seq=events[-1][1]):
            return 0  # another worker was faster
        # One that was replayed before its turn is there already.
        Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return len(events)


def claim_due(endpoints, limit_of):
    """Claim deliveries that are due for each of `endpoints`, the oldest first; return them with their events.

    One transaction for all of them: a worker beside many endpoints that fail would do little but commit. At most
    `limit_of(endpoint, claimed)` for each; `claimed` counts those so far by endpoint id. The claim is a lease on the
    database's clock: whoever dies with it leaves them due again when it has run out.
    """
    token, chosen, claimed = uuid4(), [], Counter()
    with write_transaction():
        go_along_the_index()
        for endpoint in endpoints:
            if (limit := limit_of(endpoint, claimed)) > 0:
                found = hold_due(endpoint.pk, limit)
                claimed[endpoint.pk] += len(found)
                for delivery, event in found:
                    delivery.event, delivery.endpoint, delivery.claim_token = event, endpoint, token
                    chosen.append(delivery)
        if chosen:
            # They are held since: what else must be true of them was just seen.
            lease_held([delivery.pk for delivery in chosen], token=token, lease=LEASE)
    return sorted(chosen, key=lambda delivery: delivery.pk)


def message_of(delivery):
    """Return what is sent for a delivery: the event's payload, byte for byte the same at each attempt."""
    return Message(str(delivery.event_id), orjson.dumps(delivery.event.payload))


def list_deliveries(event):
    """Return what each endpoint was told of `event`, as dicts, the oldest endpoint first."""
    fields = "endpoint_id status attempts due_at history".split()
    return list(event.deliveries.order_by("endpoint_id").values(*fields))


def record_outcomes(outcomes):
    """Publish pairs of a claimed delivery and its Outcome in one transaction; return the statuses that they now have.

    A delivery whose claim somebody else has by now is left to them, and is None in the answer. Those that arrived, most
    of a round, are one statement.
    """
    with write_transaction():
        if len(outcomes) > 1:
            hold_deliveries([delivery.pk for delivery, _ in outcomes])
        arrived = [(delivery, _history(delivery, outcome)) for delivery, outcome in outcomes if outcome.delivered]
        moved = deliver_claimed(arrived)
        moved |= {
            delivery.pk for delivery, outcome in outcomes if not outcome.delivered and _put_off(delivery, outcome)
        }
    for delivery, outcome in outcomes:
        if outcome.gone:
            disable_endpoint(delivery.endpoint)
    return [delivery.status if delivery.pk in moved else None for delivery, _ in outcomes]


def _put_off(delivery, outcome):
    """Make a delivery that did not arrive due again later, or DEAD; return False when the claim is somebody else's."""
    fields = {"claim_token": None, "attempts": F("attempts") + 1, "history": _history(delivery, outcome)}
    if outcome.gone or delivery.attempts + 1 < settings.PORTAL_OUTBOX_MAX_ATTEMPTS:
        wait = delay_after(delivery.attempts + 1, retry_after=outcome.retry_after)
        return update_claimed(delivery, delivery.claim_token, due_at=Now() + wait, **fields)
    try:
        advance(delivery, Status.DEAD, where={"claim_token": delivery.claim_token}, due_at=None, **fields)
    except StatusConflict:
        return False
    return True


def _history(delivery, outcome):
    return [*delivery.history, _attempt(outcome)][-HISTORY:]


def _attempt(outcome):
    return {
        "at": timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status_code": outcome.status_code,
        "error": outcome.error,
        "milliseconds": outcome.milliseconds,
    }


def delay_after(attempts, *, retry_after=None):
    """Return the pause after so many failed attempts: doubled each time, up to half more by chance, up to the cap.

    A receiver may ask for a longer one (`retry_after`, in seconds), not for one beyond the cap.
    """
    cap = settings.PORTAL_OUTBOX_MAX_DELAY_SECONDS
    doubled = settings.PORTAL_OUTBOX_BASE_DELAY_SECONDS * 2 ** min(attempts - 1, 40)
    # Chance spreads those that failed together, at the cap too.
    seconds = min(doubled * random.uniform(1, 1.5), cap * random.uniform(0.8, 1))  # noqa: S311
    return timedelta(seconds=max(seconds, min(cap, retry_after or 0)))

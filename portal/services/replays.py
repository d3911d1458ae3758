"""Replays: events that are sent again, under the id that they have for life."""

from django.db.models.functions import Now

from portal.exceptions import StatusConflict
from portal.models import Delivery
from portal.services.endpoints import hearers_of
from portal.services.transactions import write_transaction
from portal.services.transitions import advance

Status = Delivery.Status

#: Dead deliveries that are sent again in one transaction.
BLOCK = 500


def replay_event(event):
    """Have `event` sent again, from the first attempt on, to each endpoint that hears it; return these endpoints.

    One that waits for its next attempt is due at once; one that is under way is left to whoever sends it. Raises
    EndpointDisabled when all who would hear it are DISABLED; nothing is changed then.
    """
    with write_transaction():
        endpoints = hearers_of(event)
        made = [Delivery(event=event, endpoint=endpoint) for endpoint in endpoints]
        for delivery in made:
            delivery.due_at = Now()
        # There is none yet for an endpoint that was not handed the event so far.
        Delivery.objects.bulk_create(made, ignore_conflicts=True)
        for delivery in event.deliveries.filter(endpoint__in=endpoints).order_by("pk"):
            _send_again(delivery)
    return endpoints


def replay_delivery(delivery):
    """Have one delivery sent again, from the first attempt on; it waits while its endpoint is DISABLED."""
    with write_transaction():
        _send_again(delivery)


def replay_dead():
    """Have a block of DEAD deliveries sent again; return how many, 0 when there are none left."""
    with write_transaction():
        return sum(_send_again(delivery) for delivery in Delivery.objects.dead().order_by("pk")[:BLOCK])


def _send_again(delivery):
    anew = {"due_at": Now(), "attempts": 0}
    if delivery.status == Status.PENDING:
        return Delivery.objects.waiting().filter(pk=delivery.pk).update(**anew)
    try:
        advance(delivery, Status.PENDING, **anew)
    except StatusConflict:
        return 0  # another replay was faster
    return 1

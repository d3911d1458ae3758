"""What a round of the dispatcher asks and writes again and again: each statement is made once."""

from functools import cache

from django.db import connection
from django.db.models import Case, DurationField, Exists, OuterRef, UUIDField, When
from django.db.models.functions import Now

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.models.prepared import Prepared, Slot, key_slots, keys_as_values, slots
from portal.services.endpoints import is_known, not_handed


def _behind(**where):
    rows = Endpoint.objects.enabled().filter(not_handed(OutboxEvent.objects.all()), **where)
    return rows.order_by("pk")


_BEHIND = Prepared(lambda: _behind(owner=None))
_WITH_DUE = Prepared(
    lambda: (
        Endpoint.objects.enabled().filter(Exists(Delivery.objects.due().filter(endpoint=OuterRef("pk")))).order_by("id")
    )
)


def endpoints_behind():
    """Return the active endpoints of nobody, which is that of the environment, that were not handed all there is."""
    return list(filter(is_known, _BEHIND.objects(Endpoint)))


def owners_endpoints_behind(*, after, limit):
    """Return some enabled endpoints of owners that were not handed all that is for them, those after an id first."""
    return _owners_behind(limit).objects(Endpoint, after=after)


def endpoints_with_due():
    """Return the endpoints that something is due for now, one look at an index for each."""
    return list(filter(is_known, _WITH_DUE.objects(Endpoint)))


def hold_due(endpoint_id, limit):
    """Return pairs of a delivery that is due and its event, the oldest first, held to the end of the transaction.

    Where rows can be locked, two workers look past each other's; elsewhere there is one writer at a time.
    """
    return _some_due(limit).objects(Delivery, OutboxEvent, endpoint_id=endpoint_id)


def lease_held(keys, *, token, lease):
    """Put a claim on deliveries that are held, by the database's clock."""
    _lease(len(keys)).write(token=token, lease=lease, **keys_as_values(keys))


def hold_deliveries(keys):
    """Hold deliveries to the end of the transaction, in the order in which who deletes or replays some takes them."""
    _hold(len(keys)).rows(**keys_as_values(keys))


def go_along_the_index():
    """Let `hold_due` look no further than it needs to, to the end of the transaction.

    By statistics from when nothing waited PostgreSQL takes what is due to be nearly nothing, and would read and sort
    all of it to find some of it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")


@cache
def _owners_behind(limit):
    turn = Case(When(pk__gt=Slot("after", Endpoint._meta.pk), then=0), default=1)
    return Prepared(lambda: _behind(owner__isnull=False).order_by(turn, "pk")[:limit])


@cache
def _some_due(limit):
    due = Delivery.objects.due().filter(**slots(Delivery, "endpoint_id")).order_by("due_at")
    return Prepared(lambda: due.select_related("event").select_for_update(skip_locked=True, of=("self",))[:limit])


@cache
def _lease(count):
    rows = Delivery.objects.filter(pk__in=key_slots(Delivery, count))
    token, until = Slot("token", UUIDField()), Now() + Slot("lease", DurationField())
    return Prepared(lambda: (rows, {"claim_token": token, "due_at": until}))


@cache
def _hold(count):
    rows = Delivery.objects.filter(pk__in=key_slots(Delivery, count)).order_by("pk")
    return Prepared(lambda: rows.select_for_update().values_list("pk"))

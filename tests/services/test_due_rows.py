"""The dispatcher's statements go along an index, to as few rows as they need, whatever the statistics say."""

import pytest
from django.db import connection, transaction
from django.utils import timezone

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.services.due_rows import endpoints_behind, go_along_the_index, hold_due, owners_endpoints_behind
from portal.services.endpoints import note_environment
from tests.services.situations import plans_of, set_columns

MANY = 2000


@pytest.fixture
def endpoint(db, settings):
    """The endpoint of the environment."""
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/hook"
    note_environment()
    return Endpoint.objects.get()


def make_due(caller, endpoint, count):
    """So many deliveries to `endpoint` that are due, of events that have their numbers."""
    events = [OutboxEvent(owner=caller.user, event_type="file.uploaded", payload={"n": n}) for n in range(count)]
    for number, event in enumerate(events, 1):
        event.subject_id, event.seq = event.pk, number
    OutboxEvent.objects.bulk_create(events)
    made = [Delivery(event=event, endpoint=endpoint, due_at=timezone.now()) for event in events]
    return Delivery.objects.bulk_create(made)


def test_what_is_due_is_found_the_oldest_first_with_its_event(ann, endpoint):
    made = make_due(ann, endpoint, 5)
    set_columns(made[3], due_at=made[0].due_at.replace(year=2001))
    with transaction.atomic():
        found = hold_due(endpoint.pk, 3)
    assert [delivery.pk for delivery, _ in found] == [made[place].pk for place in (3, 0, 1)]
    assert [event.payload for _, event in found] == [{"n": 3}, {"n": 0}, {"n": 1}]
    assert found[0][0] == Delivery.objects.get(pk=made[3].pk)


def test_some_of_much_that_is_due_is_found_without_a_look_at_the_rest(ann, endpoint):
    # PostgreSQL has no statistics of these, which were made in this transaction.
    make_due(ann, endpoint, MANY)

    def claim():
        go_along_the_index()
        hold_due(endpoint.pk, 16)

    (plan,) = plans_of(claim)
    assert "delivery_due_at" in plan
    assert "sort" not in plan.lower().replace("use temp b-tree", "sort")


def test_where_all_is_handed_out_no_event_is_looked_at_but_the_newest(ann, endpoint):
    make_due(ann, endpoint, MANY)
    Endpoint.objects.update(last_seq=MANY)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    plans = plans_of(lambda: endpoints_behind() + owners_endpoints_behind(after=endpoint.pk, limit=9))
    assert len(plans) == 2
    for plan in plans:
        assert "Seq Scan on portal_outboxevent" not in plan
    assert endpoints_behind() == []
    Endpoint.objects.update(last_seq=MANY - 1)
    assert endpoints_behind() == [endpoint]

"""`manage.py replay_events`: all that is dead, or what is named; an unknown name changes nothing."""

from uuid import uuid4

import pytest
from django.core.management.base import CommandError
from django.db.models.functions import Now

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.services.deliveries import hand_out
from portal.services.events import number_events
from tests.management.commands import run
from tests.samples import store_file


@pytest.fixture
def events(ann, storage, db):
    """Three events with their deliveries: DEAD, DELIVERED, PENDING."""
    Endpoint.objects.create(url="https://runner.example.org/")
    for _ in range(3):
        store_file(ann, storage)
    number_events()
    hand_out()
    events = list(OutboxEvent.objects.order_by("seq"))
    for event, status in zip(events, ("DEAD", "DELIVERED", "PENDING"), strict=True):
        due_at = Now() if status == "PENDING" else None
        Delivery.objects.filter(event=event).update(status=status, due_at=due_at, attempts=5)
    return events


def attempts(event):
    """Return status and attempts of the one delivery of an event."""
    return Delivery.objects.values_list("status", "attempts").get(event=event)


def test_all_that_is_dead_is_sent_again(events):
    assert run("replay_events") == "replayed=1\n"
    assert [attempts(event) for event in events] == [("PENDING", 0), ("DELIVERED", 5), ("PENDING", 5)]
    assert run("replay_events") == "replayed=0\n"


def test_what_is_named_is_sent_again_whatever_became_of_it(events):
    assert run("replay_events", str(events[1].pk), str(events[2].pk)) == "replayed=2\n"
    assert [attempts(event) for event in events] == [("DEAD", 5), ("PENDING", 0), ("PENDING", 0)]


def test_an_unknown_event_is_named_and_nothing_is_replayed(events):
    unknown = uuid4()
    with pytest.raises(CommandError, match=str(unknown)):
        run("replay_events", str(events[0].pk), str(unknown))
    assert attempts(events[0]) == ("DEAD", 5)

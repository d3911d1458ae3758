"""Replays: the same event under the same id, from the first attempt on, whatever became of it."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from portal.exceptions import EndpointDisabled
from portal.models import Delivery, Endpoint, OutboxEvent
from portal.runner.base import Outcome
from portal.services import replays
from portal.services.deliveries import claim_due, hand_out, record_outcomes
from portal.services.due_rows import endpoints_with_due
from portal.services.endpoints import disable_endpoint, enable_endpoint, note_environment
from portal.services.events import number_events
from portal.services.replays import replay_dead, replay_delivery, replay_event
from tests.samples import store_file


@pytest.fixture
def endpoint(db, settings):
    """The endpoint of the environment; one failure is a DEAD event there."""
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/hook"
    settings.PORTAL_OUTBOX_MAX_ATTEMPTS = 1
    note_environment()
    return Endpoint.objects.get()


@pytest.fixture
def event(ann, storage, endpoint):
    """One event, numbered and handed out."""
    store_file(ann, storage)
    number_events()
    hand_out()
    return OutboxEvent.objects.get()


def send(endpoint, **outcome):
    """Send what is due, with this outcome; return the events' ids."""
    claimed = claim_due([endpoint], lambda *_: 9)
    record_outcomes([(delivery, Outcome(**outcome)) for delivery in claimed])
    return [delivery.event_id for delivery in claimed]


@pytest.mark.parametrize(("outcome", "status"), [({"status_code": 500}, "DEAD"), ({"status_code": 200}, "DELIVERED")])
def test_an_event_is_sent_again_whatever_became_of_it(event, endpoint, outcome, status):
    send(endpoint, **outcome)
    assert Delivery.objects.get().status == status
    assert replay_event(event) == [endpoint]
    row = Delivery.objects.get()
    assert (row.status, row.attempts, len(row.history)) == ("PENDING", 0, 1)
    assert send(endpoint, status_code=200) == [event.pk]
    assert Delivery.objects.get().status == "DELIVERED"


def test_one_that_waits_is_due_at_once(event, endpoint):
    Delivery.objects.update(due_at=Now() + timedelta(hours=1), attempts=7)
    assert endpoints_with_due() == []
    replay_event(event)
    assert endpoints_with_due() == [endpoint]
    assert Delivery.objects.get().attempts == 0


def test_one_that_is_under_way_is_left_to_who_sends_it(event, endpoint):
    (claimed,) = claim_due([endpoint], lambda *_: 1)
    replay_event(event)
    assert endpoints_with_due() == []
    assert record_outcomes([(claimed, Outcome(status_code=200))]) == ["DELIVERED"]


def test_one_that_no_endpoint_was_handed_yet_is_sent_once(ann, storage, endpoint):
    store_file(ann, storage)
    replay_event(OutboxEvent.objects.get())
    number_events()
    hand_out()
    assert Delivery.objects.count() == 1


def test_without_an_endpoint_nothing_is_sent(event, settings):
    settings.PORTAL_RUNNER_ENDPOINT = ""
    assert replay_event(event) == []


def test_all_that_is_dead_is_sent_again_in_blocks(ann, storage, event, endpoint, monkeypatch):
    monkeypatch.setattr(replays, "BLOCK", 2)
    send(endpoint, status_code=200)
    for _ in range(3):
        store_file(ann, storage)
    number_events()
    hand_out()
    dead = send(endpoint, error="timeout")
    assert [replay_dead(), replay_dead(), replay_dead()] == [2, 1, 0]
    assert sorted(send(endpoint, status_code=200)) == sorted(dead)


def test_two_replays_at_once_are_one(event, endpoint):
    send(endpoint, error="timeout")
    first, second = Delivery.objects.get(), Delivery.objects.get()
    replay_delivery(first)
    replay_delivery(second)
    assert Delivery.objects.get().status == "PENDING"


def test_what_is_dead_and_replayed_for_a_disabled_endpoint_waits(event, endpoint):
    send(endpoint, error="timeout")
    disable_endpoint(endpoint)
    assert replay_dead() == 1
    assert endpoints_with_due() == []


def test_an_event_that_only_disabled_endpoints_hear_is_refused_until_one_is_enabled(event, endpoint):
    send(endpoint, error="timeout")
    disable_endpoint(endpoint)
    with pytest.raises(EndpointDisabled):
        replay_event(event)
    assert Delivery.objects.get().status == "DEAD"
    enable_endpoint(Endpoint.objects.get())
    assert replay_event(event) == [endpoint]


def test_a_disabled_endpoint_that_does_not_hear_the_event_is_no_reason_to_refuse(event, bob, settings):
    settings.PORTAL_RUNNER_ENDPOINT = ""
    deaf = Endpoint.objects.create(owner=event.owner, url="https://deaf.example.org/", event_types=["file.failed"])
    for endpoint in (deaf, Endpoint.objects.create(owner=bob.user, url="https://bob.example.org/")):
        disable_endpoint(endpoint)
    assert replay_event(event) == []

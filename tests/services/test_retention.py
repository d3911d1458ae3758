"""What arrived long ago goes, in blocks; what waits, what is DEAD and the events themselves stay."""

import pytest

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.services import retention
from portal.services.endpoints import note_environment
from portal.services.events import number_events
from portal.services.replays import replay_event
from portal.services.retention import drop_old_deliveries
from portal.services.worker import clean_up
from tests.samples import store_file
from tests.services.situations import make_delivery, seen_queries

DAYS = 30


@pytest.fixture(autouse=True)
def endpoint(db, settings):
    """The endpoint of the environment."""
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/hook"
    settings.PORTAL_DELIVERIES_KEEP_DAYS = DAYS
    note_environment()
    return Endpoint.objects.get()


def deliver(caller, storage, endpoint, *, made=DAYS + 1, ended=DAYS + 1, status="DELIVERED"):
    """Return a delivery of a new event that was made, and has come into its status, so many days ago."""
    store_file(caller, storage)
    number_events()
    return make_delivery(OutboxEvent.objects.latest("seq"), endpoint, made=made, ended=ended, status=status)


def left():
    """Return the ids of the deliveries that are there."""
    return set(Delivery.objects.values_list("pk", flat=True))


def test_what_arrived_long_ago_goes_and_its_event_stays(ann, storage, endpoint):
    kept = {
        deliver(ann, storage, endpoint, made=DAYS - 1, ended=DAYS - 1).pk,
        deliver(ann, storage, endpoint, ended=1).pk,  # it was replayed, or tried for long
        deliver(ann, storage, endpoint, status="DEAD").pk,
        deliver(ann, storage, endpoint, status="PENDING").pk,
    }
    for _ in range(2):
        deliver(ann, storage, endpoint)
    assert drop_old_deliveries() == 2
    assert left() == kept
    assert OutboxEvent.objects.count() == 6
    assert drop_old_deliveries() == 0


def test_of_each_endpoint_also_of_one_that_is_disabled(ann, storage, endpoint):
    other = Endpoint.objects.create(url="https://ann.example.org/", owner=ann.user, status="DISABLED")
    for to in (endpoint, other):
        deliver(ann, storage, to)
    assert drop_old_deliveries() == 2


def test_0_days_is_for_ever(ann, storage, endpoint, settings):
    settings.PORTAL_DELIVERIES_KEEP_DAYS = 0
    deliver(ann, storage, endpoint)
    assert drop_old_deliveries() == 0
    assert len(left()) == 1


def test_so_many_go_in_a_call_a_block_at_a_time_and_none_once_a_stop_is_asked_for(ann, storage, endpoint, monkeypatch):
    monkeypatch.setattr(retention, "BLOCK", 2)
    monkeypatch.setattr(retention, "LIMIT", 4)
    for _ in range(7):
        deliver(ann, storage, endpoint)
    answers = [False, True]
    assert drop_old_deliveries(stopped=lambda: answers.pop(0)) == 2
    assert [drop_old_deliveries(), drop_old_deliveries()] == [4, 1]


def test_a_round_of_clean_up_does_it(ann, storage, endpoint):
    deliver(ann, storage, endpoint)
    assert clean_up(storage=storage).deliveries_dropped == 1


def test_an_event_whose_delivery_went_is_sent_again_by_a_replay(ann, storage, endpoint):
    event = deliver(ann, storage, endpoint).event
    drop_old_deliveries()
    assert replay_event(event) == [endpoint]
    assert Delivery.objects.get().status == "PENDING"


def test_what_there_is_nothing_of_costs_one_look(ann, storage, endpoint):
    deliver(ann, storage, endpoint, made=1, ended=1)
    with seen_queries() as queries:
        drop_old_deliveries()
    assert len(queries) == 1

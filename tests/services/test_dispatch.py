"""The dispatcher: sends what is due outside of any transaction, many at once, and lives through faults."""

import threading
from collections import Counter

import pytest
from django.db import OperationalError

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.runner.base import Outcome
from portal.runner.memory import MemoryRunner
from portal.services import deliveries, dispatch
from portal.services.dispatch import Dispatcher
from portal.services.events import number_events
from tests.patience import wait_until
from tests.samples import store_file
from tests.services.situations import failing


@pytest.fixture(autouse=True)
def _connections_stay_open(monkeypatch):
    """A round closes connections that are old or broken; that of the test holds its transaction."""
    monkeypatch.setattr(dispatch, "close_old_connections", lambda: None)
    monkeypatch.setattr(dispatch.connections, "close_all", lambda: None)


@pytest.fixture(autouse=True)
def _endpoint(settings):
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/hook"
    settings.PORTAL_RUNNER_SECRET = "a secret"


def dispatcher(runner, stopped=lambda seconds: False):
    """Return a dispatcher with this runner."""
    return Dispatcher(runner=runner, stopped=stopped)


def test_once_through_sends_all_that_is_due(ann, storage):
    for _ in range(20):
        store_file(ann, storage)
    runner = MemoryRunner()
    assert dispatcher(runner).run_once() == Counter(delivered=20)
    assert {message.event_id for _, message in runner.sent} == {str(event.pk) for event in OutboxEvent.objects.all()}
    target, message = runner.sent[0]
    assert target.url == "https://runner.example.org/hook"
    assert target.keys
    assert b'"event_type":"file.uploaded"' in message.body
    assert dispatcher(runner).run_once() == Counter()
    assert len(runner.sent) == 20


def test_what_failed_is_counted_and_not_tried_again_at_once(ann, storage, settings):
    store_file(ann, storage)
    runner = MemoryRunner(lambda target, message: Outcome(status_code=500))
    assert dispatcher(runner).run_once() == Counter(failed=1)
    settings.PORTAL_OUTBOX_MAX_ATTEMPTS = 1
    store_file(ann, storage)
    assert dispatcher(runner).run_once() == Counter(dead=1)
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["DEAD", "PENDING"]


def test_an_endpoint_that_is_gone_is_named_in_the_log(ann, storage, caplog):
    store_file(ann, storage)
    dispatcher(MemoryRunner(lambda target, message: Outcome(status_code=410))).run_once()
    endpoint = Endpoint.objects.get()
    assert endpoint.status == Endpoint.Status.DISABLED
    assert f"endpoint {endpoint.pk} answered 410" in caplog.text


def test_the_same_event_is_the_same_message_at_each_attempt(ann, storage, settings):
    settings.PORTAL_OUTBOX_BASE_DELAY_SECONDS = 0
    store_file(ann, storage)
    answers = [Outcome(status_code=204), Outcome(error="timeout"), Outcome(status_code=500)]
    runner, counts = MemoryRunner(lambda target, message: answers.pop()), Counter()
    while answers:
        # Due at once, which SQLite, whose clock has no microseconds, may see a millisecond later.
        counts += dispatcher(runner).run_once()
    assert counts == Counter(failed=2, delivered=1)
    assert len({message for _, message in runner.sent}) == 1


def test_a_runner_with_a_defect_holds_up_nothing(ann, storage):
    store_file(ann, storage)
    store_file(ann, storage)
    broken = []

    def answer(target, message):
        if not broken:
            broken.append(message)
            raise ZeroDivisionError
        return Outcome(status_code=200)

    assert dispatcher(MemoryRunner(answer)).run_once() == Counter(failed=1, delivered=1)
    assert Delivery.objects.get(status="PENDING").history[0]["error"] == "ZeroDivisionError"


class Gate:
    """A runner's answer that waits until it is let through, and counts who waits."""

    def __init__(self, status=204):
        self.status, self.waiting, self.open = status, 0, threading.Event()

    def __call__(self, target, message):
        self.waiting += 1
        self.open.wait(30)
        return Outcome(status_code=self.status)


@pytest.mark.parametrize(("steady", "slots"), [(True, dispatch.SLOTS_OF_ONE), (False, 1)])
def test_a_steady_endpoint_takes_its_share_of_the_slots_and_any_other_takes_one(ann, storage, steady, slots):
    for _ in range(20):
        store_file(ann, storage)
    gate = Gate()
    ours = dispatcher(MemoryRunner(gate))
    if steady:
        ours._steady.add(Endpoint.ENVIRONMENT_ID)
    number_events()
    ours.round()
    ours.round()
    wait_until(lambda: gate.waiting == slots)
    assert Delivery.objects.filter(claim_token__isnull=False).count() == slots
    gate.open.set()
    assert ours.run_once()["delivered"] == 20


def test_while_no_slot_is_free_nobody_claims(ann, storage, monkeypatch):
    for _ in range(2):
        store_file(ann, storage)
    gate = Gate()
    ours = dispatcher(MemoryRunner(gate))
    number_events()
    ours.round()
    wait_until(lambda: gate.waiting == 1)
    with monkeypatch.context() as watched:
        watched.setattr(dispatch, "claim_due", failing(AssertionError("claimed")))
        assert ours.round()
    gate.open.set()
    assert ours.run_once()["delivered"] == 2


def test_dead_endpoints_take_half_of_the_slots_and_a_steady_one_finds_its_own(ann, storage, settings):
    settings.PORTAL_RUNNER_ENDPOINT = ""
    rows = [Endpoint(url=f"https://{number}.example.org/") for number in range(40)]
    Endpoint.objects.bulk_create(rows)
    for _ in range(17):
        store_file(ann, storage)
    gate = Gate()
    ours = dispatcher(MemoryRunner(gate))
    number_events()
    ours.round()
    ours.round()
    wait_until(lambda: gate.waiting == dispatch.SLOTS_OF_ALL_UNSTEADY)
    # One of those that found no slot.
    waiting = Endpoint.objects.exclude(deliveries__claim_token__isnull=False).first()
    ours._steady.add(waiting.pk)
    ours.round()
    wait_until(lambda: gate.waiting == dispatch.SLOTS_OF_ALL_UNSTEADY + dispatch.SLOTS_OF_ONE)
    gate.open.set()
    assert ours.run_once() == Counter(delivered=40 * 17)


@pytest.mark.parametrize(
    ("outcome", "steady"),
    [
        (Outcome(status_code=200), True),
        (Outcome(status_code=200, milliseconds=dispatch.SLOW_MILLISECONDS), False),
        (Outcome(status_code=500), False),
        (Outcome(error="timeout"), False),
    ],
)
def test_a_quick_success_makes_an_endpoint_steady_and_anything_else_ends_it(ann, storage, outcome, steady):
    store_file(ann, storage)
    for before in (set(), {Endpoint.ENVIRONMENT_ID}):
        ours = dispatcher(MemoryRunner(lambda target, message: outcome))
        ours._steady |= before
        Delivery.objects.all().delete()
        Endpoint.objects.update(last_seq=0)
        ours.run_once()
        assert (Endpoint.ENVIRONMENT_ID in ours._steady) == steady


def test_a_fault_of_the_database_is_waited_out_and_nothing_that_came_back_is_lost(ann, storage, monkeypatch):
    store_file(ann, storage)
    number_events()
    runner = MemoryRunner()
    ours = dispatcher(runner)
    assert ours.round()
    with monkeypatch.context() as broken:
        broken.setattr(dispatch, "record_outcomes", failing(OperationalError("gone")))
        assert ours.round() is False
        assert ours._pause > dispatch.POLL_SECONDS
    assert ours.round()
    assert (Delivery.objects.get().status, len(runner.sent)) == ("DELIVERED", 1)
    assert ours._pause == dispatch.POLL_SECONDS


def test_told_to_stop_it_records_what_is_under_way_and_begins_nothing(ann, storage):
    for _ in range(20):
        store_file(ann, storage)
    gate, asked = Gate(), []

    def stopped(seconds):
        asked.append(seconds)
        gate.open.set()
        return len(asked) > 1

    number_events()
    ours = dispatcher(MemoryRunner(gate), stopped)
    ours._steady.add(Endpoint.ENVIRONMENT_ID)
    ours.run()
    assert Counter(Delivery.objects.values_list("status", flat=True)) == Counter(
        DELIVERED=dispatch.SLOTS_OF_ONE, PENDING=20 - dispatch.SLOTS_OF_ONE
    )
    assert not Delivery.objects.filter(claim_token__isnull=False).exists()


def test_rounds_that_follow_each_other_ask_once_whether_the_connection_answers(ann, storage, monkeypatch):
    asked = []
    monkeypatch.setattr(dispatch, "close_old_connections", lambda: asked.append(1))
    ours = dispatcher(MemoryRunner())
    assert all(ours.round() for _ in range(3))
    assert len(asked) == 1
    monkeypatch.setattr(dispatch, "CHECK_SECONDS", 0)
    ours.round()
    assert len(asked) == 2


def test_a_round_numbers_nothing_so_that_no_reader_waits_for_one(ann, storage):
    store_file(ann, storage)
    runner = MemoryRunner()
    assert dispatcher(runner).round()
    assert not runner.sent
    assert OutboxEvent.objects.get().seq is None


def test_each_endpoint_of_owners_has_its_turn_in_the_rounds_of_one_dispatcher(ann, storage, settings, monkeypatch):
    settings.PORTAL_RUNNER_ENDPOINT = ""
    monkeypatch.setattr(deliveries, "TURNS", 1)
    monkeypatch.setattr(deliveries, "BLOCK_OF_OWNERS", 1)
    rows = [Endpoint(url=f"https://{number}.example.org/", owner=ann.user) for number in range(3)]
    Endpoint.objects.bulk_create(rows)
    for _ in range(3):
        store_file(ann, storage)
    number_events()
    ours = dispatcher(MemoryRunner())
    for _ in range(3):
        ours.round()
    assert list(Endpoint.objects.values_list("last_seq", flat=True)) == [1, 1, 1]
    assert ours.run_once() == Counter(delivered=9)


def test_once_through_numbers_events_without_an_endpoint_too(ann, storage, settings):
    settings.PORTAL_RUNNER_ENDPOINT = ""
    store_file(ann, storage)
    assert dispatcher(MemoryRunner()).run_once() == Counter()
    assert list(OutboxEvent.objects.values_list("seq", flat=True)) == [1]

"""Deliveries: made once for each event and endpoint, claimed under a lease, and moved on by what came of them."""

from collections import Counter
from copy import copy
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.runner.base import Outcome
from portal.services import deliveries
from portal.services.deliveries import Turns, claim_due, delay_after, hand_out, record_outcomes
from portal.services.due_rows import endpoints_with_due
from portal.services.endpoints import note_environment
from portal.services.events import number_events
from tests.samples import store_file
from tests.services.situations import seen_transactions, set_columns

GOOD, BAD = Outcome(status_code=200, milliseconds=3), Outcome(error="timeout")


@pytest.fixture
def endpoint(db, settings):
    """The endpoint of the environment, as a worker notes it at its start."""
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/hook"
    note_environment()
    return Endpoint.objects.get()


def make_events(caller, storage, count=1):
    """So many events, numbered and handed out."""
    for _ in range(count):
        store_file(caller, storage)
    number_events()
    return hand_out()


def seconds_until_due(delivery):
    """Return how long a delivery waits, by the database's clock."""
    row = Delivery.objects.annotate(now=Now()).get(pk=delivery.pk)
    return (row.due_at - row.now).total_seconds()


def test_without_an_endpoint_events_are_kept_and_nothing_is_due(ann, storage):
    note_environment()
    assert make_events(ann, storage) == 0
    assert (OutboxEvent.objects.count(), Delivery.objects.count(), endpoints_with_due()) == (1, 0, [])


def test_an_endpoint_is_handed_every_event_once_also_those_from_before(ann, storage, settings):
    make_events(ann, storage)
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/hook"
    note_environment()
    assert make_events(ann, storage) == 2
    assert hand_out() == 0
    assert list(Delivery.objects.values_list("event_id", flat=True)) == list(
        OutboxEvent.objects.order_by("seq").values_list("id", flat=True)
    )


def test_more_events_than_a_block_take_more_rounds(ann, storage, endpoint, monkeypatch):
    monkeypatch.setattr(deliveries, "BLOCK", 2)
    assert [make_events(ann, storage, 3), hand_out(), hand_out()] == [2, 1, 0]


def owned(caller, count):
    """So many endpoints of the caller's, the oldest first."""
    rows = [Endpoint(url=f"https://{number}.example.org/", owner=caller.user) for number in range(count)]
    return [row.pk for row in Endpoint.objects.bulk_create(rows)]


def handed():
    """Return how many events each endpoint was handed so far."""
    return Counter(Delivery.objects.values_list("endpoint_id", flat=True))


def test_a_backlog_is_handed_out_a_block_at_a_time_in_turn_and_that_of_the_environment_comes_first(
    ann, bob, storage, endpoint, monkeypatch
):
    for name, value in {"TURNS": 2, "TURNS_SECONDS": 60, "BLOCK": 4, "BLOCK_OF_OWNERS": 1}.items():
        monkeypatch.setattr(deliveries, name, value)
    busy, (quiet,), turns = owned(ann, 3), owned(bob, 1), Turns()
    for caller in (ann, ann, ann, bob):
        store_file(caller, storage)
    number_events()
    assert hand_out(turns) == 6
    assert handed() == Counter({endpoint.pk: 4, busy[0]: 1, busy[1]: 1})
    # Whoever had no turn is next, whatever the others still wait for.
    assert hand_out(turns) == 2
    assert handed() == Counter({endpoint.pk: 4, quiet: 1} | dict.fromkeys(busy, 1))
    assert [hand_out(turns) for _ in range(4)] == [2, 2, 2, 0]
    assert handed() == Counter({endpoint.pk: 4, quiet: 1} | dict.fromkeys(busy, 3))


def test_when_turns_take_long_the_rest_comes_in_the_next_round_and_none_is_left_out(ann, storage, monkeypatch):
    monkeypatch.setattr(deliveries, "TURNS_SECONDS", 0)
    first, second = owned(ann, 2)
    store_file(ann, storage)
    number_events()
    turns = Turns()
    assert (hand_out(turns), handed()) == (1, Counter([first]))
    assert (hand_out(turns), handed()) == (1, Counter([first, second]))


def test_what_is_due_for_many_endpoints_is_claimed_in_one_transaction(ann, storage, monkeypatch):
    monkeypatch.setattr(deliveries, "TURNS_SECONDS", 60)
    first, second, third = owned(ann, 3)
    make_events(ann, storage, 3)
    seen = []

    def limit_of(endpoint, claimed):
        seen.append(dict(claimed))
        return {first: 2, second: 0, third: 9}[endpoint.pk]

    with seen_transactions() as transactions:
        claimed = claim_due(Endpoint.objects.order_by("pk"), limit_of)
    assert len(transactions) == len(transactions[0]) == 1
    assert Counter(row.endpoint_id for row in claimed) == {first: 2, third: 3}
    assert seen == [{}, {first: 2}, {first: 2}]


def test_who_looked_before_another_worker_handed_out_makes_none_twice(ann, storage, endpoint):
    store_file(ann, storage)
    number_events()
    stale = Endpoint.objects.get()
    assert hand_out() == 1
    assert deliveries._hand_to(stale) == 0
    assert Delivery.objects.count() == 1


def test_while_the_setting_is_gone_nothing_is_due(ann, storage, endpoint, settings):
    make_events(ann, storage)
    settings.PORTAL_RUNNER_ENDPOINT = ""
    assert endpoints_with_due() == []


def test_what_is_claimed_is_nobody_elses_until_the_lease_runs_out(ann, storage, endpoint):
    make_events(ann, storage, 3)
    first = claim_due([endpoint], lambda *_: 2)
    second = claim_due([endpoint], lambda *_: 2)
    assert [len(first), len(second), len(claim_due([endpoint], lambda *_: 2))] == [2, 1, 0]
    assert 50 < seconds_until_due(first[0]) <= 60
    assert endpoints_with_due() == []
    set_columns(first[0], due_at=Now() - timedelta(seconds=1))
    assert [row.pk for row in claim_due([endpoint], lambda *_: 2)] == [first[0].pk]
    assert record_outcomes([(first[0], GOOD)]) == [None]


def test_a_success_ends_it(ann, storage, endpoint):
    make_events(ann, storage)
    (claimed,) = claim_due([endpoint], lambda *_: 9)
    assert record_outcomes([(claimed, GOOD)]) == ["DELIVERED"]
    row = Delivery.objects.get()
    assert (row.status, row.attempts, row.claim_token, row.due_at) == ("DELIVERED", 1, None, None)
    assert [(each["status_code"], each["error"]) for each in row.history] == [(200, "")]
    assert endpoints_with_due() == []


def test_all_that_arrived_in_a_round_are_recorded_by_one_statement(ann, storage, endpoint):
    make_events(ann, storage, 5)
    claimed = claim_due([endpoint], lambda *_: 5)
    outcomes = [(row, Outcome(status_code=200 + number)) for number, row in enumerate(claimed)]
    with seen_transactions() as transactions:
        assert record_outcomes(outcomes) == ["DELIVERED"] * 5
    assert [len(statements) for statements in transactions] == [1]
    assert [row.status for row in claimed] == ["DELIVERED"] * 5
    rows = {row.pk: row for row in Delivery.objects.all()}
    assert [rows[row.pk].history[0]["status_code"] for row in claimed] == [200, 201, 202, 203, 204]
    assert {(row.status, row.attempts, row.claim_token, row.due_at) for row in rows.values()} == {
        ("DELIVERED", 1, None, None)
    }
    assert all(row.status_at > row.created_at for row in rows.values())


def test_in_a_round_each_outcome_counts_under_its_own_claim_alone(ann, storage, endpoint):
    make_events(ann, storage, 6)
    arrived, failed, done, lost, lost_too = claim_due([endpoint], lambda *_: 5)
    (of_another_claim,) = claim_due([endpoint], lambda *_: 1)
    # Somebody else has these by now: one by a claim of this very round's, which is not theirs.
    set_columns(copy(lost), claim_token=uuid4())
    set_columns(copy(lost_too), claim_token=of_another_claim.claim_token)
    set_columns(copy(done), status="DELIVERED", due_at=None)
    before = {row.pk: row for row in Delivery.objects.all()}
    outcomes = [(arrived, GOOD), (failed, BAD), (done, GOOD), (lost, BAD), (lost_too, GOOD), (of_another_claim, GOOD)]
    statuses = ["DELIVERED", "PENDING", None, None, None, "DELIVERED"]
    assert record_outcomes(outcomes) == statuses
    for (row, _), status in zip(outcomes, statuses, strict=True):
        now = Delivery.objects.get(pk=row.pk)
        if status is None:
            assert vars(now) | {"_state": None} == vars(before[row.pk]) | {"_state": None}
        else:
            assert (now.status, now.attempts, len(now.history), now.claim_token) == (status, 1, 1, None)


def test_a_failure_waits_longer_each_time_and_the_last_one_is_dead(ann, storage, endpoint, settings):
    settings.PORTAL_OUTBOX_MAX_ATTEMPTS = 4
    make_events(ann, storage)
    waits = []
    for _ in range(4):
        (claimed,) = claim_due([endpoint], lambda *_: 1)
        record_outcomes([(claimed, BAD)])
        if claimed.status == "PENDING":
            waits.append(seconds_until_due(claimed))
            Delivery.objects.update(due_at=Now() - timedelta(seconds=1))
    assert len(waits) == 3
    assert 4 < waits[0] < 8 < 9 < waits[1] < 16 < 19 < waits[2] < 31
    row = Delivery.objects.get()
    assert (row.status, row.attempts, len(row.history), row.due_at) == ("DEAD", 4, 4, None)
    assert claim_due([endpoint], lambda *_: 1) == []


def test_only_the_last_attempts_are_remembered(ann, storage, endpoint, settings):
    settings.PORTAL_OUTBOX_MAX_ATTEMPTS = 99
    make_events(ann, storage)
    for number in range(25):
        (claimed,) = claim_due([endpoint], lambda *_: 1)
        record_outcomes([(claimed, Outcome(status_code=500 + number))])
        Delivery.objects.update(due_at=Now() - timedelta(seconds=1))
    row = Delivery.objects.get()
    assert [each["status_code"] for each in row.history] == list(range(505, 525))


def test_a_receiver_that_is_gone_is_sent_nothing_more_until_it_is_another(ann, storage, endpoint, settings):
    make_events(ann, storage, 2)
    (claimed,) = claim_due([endpoint], lambda *_: 1)
    assert record_outcomes([(claimed, Outcome(status_code=410))]) == ["PENDING"]
    assert Endpoint.objects.get().status == "DISABLED"
    assert endpoints_with_due() == []
    note_environment()
    assert endpoints_with_due() == []
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/another"
    note_environment()
    assert endpoints_with_due() == [endpoint]
    assert Endpoint.objects.get().url == "https://runner.example.org/another"


def test_two_answers_of_gone_at_once_disable_it_once(ann, storage, endpoint):
    make_events(ann, storage, 2)
    claimed = claim_due([endpoint], lambda *_: 2)
    record_outcomes([(row, Outcome(status_code=410)) for row in claimed])
    assert Endpoint.objects.get().status == "DISABLED"


def test_pauses_double_with_some_chance_up_to_the_cap(settings):
    settings.PORTAL_OUTBOX_BASE_DELAY_SECONDS, settings.PORTAL_OUTBOX_MAX_DELAY_SECONDS = 5, 3600
    for attempts in range(1, 60):
        seconds = delay_after(attempts).total_seconds()
        assert min(5 * 2 ** (attempts - 1), 2880) <= seconds <= min(7.5 * 2 ** (attempts - 1), 3600)
    assert len({delay_after(20) for _ in range(5)}) > 1


def test_a_wish_to_wait_is_heard_up_to_the_cap(settings):
    settings.PORTAL_OUTBOX_BASE_DELAY_SECONDS, settings.PORTAL_OUTBOX_MAX_DELAY_SECONDS = 5, 100
    assert delay_after(1, retry_after=50) == timedelta(seconds=50)
    assert delay_after(1, retry_after=10**9) == timedelta(seconds=100)
    assert delay_after(1, retry_after=1) >= timedelta(seconds=5)

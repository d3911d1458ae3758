"""The gauges: what is under way, how old the oldest of it is, and what nobody has done."""

from datetime import timedelta

from django.db.models.functions import Now

from portal import metrics
from portal.models import Delivery, Endpoint, OutboxEvent, Recount
from portal.services.claims import claim_session
from portal.services.deliveries import hand_out
from portal.services.events import number_events
from portal.services.gauges import read_gauges
from portal.services.recounts import recount_some
from portal.services.replays import replay_delivery
from tests.samples import open_session, ready_session, store_file
from tests.services.situations import let_lifetime_end, seen_queries, set_columns


def gauges(storage):
    """Return the gauges as `{(metric, label…): value}`."""
    return {(metric, *labels): value for metric, labels, value in read_gauges(find_storage=lambda: storage)}


def test_every_gauge_that_is_told_is_a_gauge_with_its_labels(ann, storage):
    store_file(ann, storage)
    while Recount.objects.filter(finished_at=None).exists() or not Recount.objects.exists():
        recount_some()
    found = gauges(storage)
    assert {metric for metric, *_ in found} == {m for m in metrics.METRICS if m.kind == metrics.GAUGE}
    assert all(len(labels) == len(metric.labels) for metric, *labels in found)


def test_an_event_that_nobody_numbers_and_a_finalize_that_nobody_works_on_grow_old(ann, storage):
    store_file(ann, storage)
    set_columns(OutboxEvent.objects.get(), created_at=Now() - timedelta(hours=1))
    session = ready_session(ann, storage)
    claim_session(session)
    set_columns(session, status_at=Now() - timedelta(hours=2))
    found = gauges(storage)
    assert 3600 <= found[metrics.OUTBOX_AGE,] < 3700
    assert found[metrics.OUTBOX_DEPTH, "unnumbered"] == 1
    assert 7200 <= found[metrics.CLAIM_AGE, "finalize"] < 7300
    assert found[metrics.UPLOADS, "FINALIZING"] == 1


def test_an_event_waits_from_when_it_was_to_be_sent_last_and_for_enabled_endpoints_alone(ann, storage):
    endpoint = Endpoint.objects.create(url="https://ann.example.org/", owner=ann.user)
    store_file(ann, storage)
    number_events()
    hand_out()
    delivery = set_columns(
        Delivery.objects.get(), created_at=Now() - timedelta(hours=2), status_at=Now() - timedelta(hours=1)
    )
    assert 3600 <= gauges(storage)[metrics.OUTBOX_AGE,] < 3700
    set_columns(endpoint, status="DISABLED")
    found = gauges(storage)
    assert (found[metrics.OUTBOX_AGE,], found[metrics.OUTBOX_DEPTH, "pending"]) == (0, 1)
    set_columns(endpoint, status="ENABLED")
    replay_delivery(set_columns(delivery, status="DELIVERED", due_at=None))
    found = gauges(storage)
    assert (found[metrics.OUTBOX_AGE,] < 100, found[metrics.OUTBOX_DEPTH, "pending"]) == (True, 1)


def test_sessions_past_their_lifetime_are_told(ann, storage):
    let_lifetime_end(open_session(ann, storage))
    open_session(ann, storage)
    assert gauges(storage)[metrics.OVERDUE,] == 1


def test_it_costs_the_same_however_much_is_under_way(ann, storage):
    for _ in range(5):
        open_session(ann, storage)
    with seen_queries() as queries:
        gauges(storage)
    assert len(queries) == 11

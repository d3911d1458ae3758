"""Workers that die while they send to a receiver that fails: nothing lost, nothing sent twice under one claim."""

import threading
from collections import defaultdict
from itertools import pairwise

import pytest
from django.db import connection

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.services.endpoints import enable_endpoint
from tests.patience import wait_until
from tests.races.dispatchers import Dispatchers
from tests.receiver import SECRET, Receiver
from tests.rounds import FULL

EVENTS, KILLS = (10_000, 200) if FULL else (500, 10)
WORKERS = 2
#: Three in ten answers are none that a receiver should give.
ANSWERS = ["ok"] * 70 + ["error"] * 8 + ["garbage"] * 7 + ["reset"] * 6 + ["redirect"] * 6 + ["slow"] * 2 + ["gone"]

pytestmark = pytest.mark.django_db(transaction=True)


class Moody:
    """How a receiver behaves, by dice; keeps what each event was answered."""

    def __init__(self, dice):
        self.dice, self.answers, self.lock = dice, defaultdict(set), threading.Lock()

    def __call__(self, received):
        with self.lock:
            answer = self.dice.choice(ANSWERS)
            self.answers[received.event_id].add(answer)
        return answer


def make_events(caller, count):
    """So many events; return their ids as texts."""
    events = [OutboxEvent(owner=caller.user, event_type="file.uploaded", payload={"number": n}) for n in range(count)]
    for event in events:
        event.subject_id = event.pk
    OutboxEvent.objects.bulk_create(events, batch_size=500)
    return {str(event.pk) for event in events}


def environment(receiver, folder):
    """Return what workers are started with: the database of this test, this receiver, no pause between attempts."""
    place = connection.settings_dict
    url = f"sqlite:///{place['NAME']}"
    if connection.vendor == "postgresql":
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**place)
    return {
        "DATABASE_URL": url,
        "DJANGO_CONFIGURATION": "Dev",
        "PORTAL_DATA_DIR": str(folder),
        "PORTAL_LOG_LEVEL": "CRITICAL",
        "PORTAL_RUNNER_ENDPOINT": receiver.url,
        "PORTAL_RUNNER_SECRET": SECRET,
        "PORTAL_OUTBOX_BASE_DELAY_SECONDS": "0",
        "PORTAL_OUTBOX_MAX_ATTEMPTS": "1000",
    }


@pytest.mark.timeout(1800 if FULL else 120)
def test_all_events_arrive_though_receivers_fail_and_workers_die(ann, dice, tmp_path):
    moods = Moody(dice)
    with Receiver() as elsewhere, Receiver(moods) as receiver:
        receiver.elsewhere = elsewhere.url
        ids = make_events(ann, EVENTS)
        with Dispatchers(tmp_path / "log", environment(receiver, tmp_path)) as workers:
            for _ in range(WORKERS):
                workers.start()
            for number in range(1, KILLS + 1):
                wait_for(lambda number=number: len(receiver.received) >= number * EVENTS / (KILLS + 1))
                workers.kill(dice.choice(workers.alive))
                workers.start()
            wait_for(lambda: Delivery.objects.filter(status="DELIVERED").count() == EVENTS)
    assert set(receiver.event_ids) == ids, "each has arrived, and nothing else"
    assert all("ok" in moods.answers[pk] for pk in ids), "none counts as delivered that was not taken"
    assert not receiver.badly_signed
    assert not elsewhere.received, "no redirect is followed"
    assert len(workers.died) == KILLS + WORKERS
    sent_in_turn(workers.sendings())


def wait_for(condition):
    """Wait, and enable the endpoint again, as an operator would, whenever it has answered 410."""

    def met():
        for endpoint in Endpoint.objects.filter(status="DISABLED"):
            enable_endpoint(endpoint)
        return condition()

    wait_until(met, seconds=600)


def sent_in_turn(sendings):
    """Hold that no claim sends an event twice, and that nobody sends one while another does."""
    for sent in sendings.values():
        claims = [claim for _, _, claim in sent]
        assert len(claims) == len(set(claims))
        assert all(end <= begin for (_, end, _), (begin, _, _) in pairwise(sent))

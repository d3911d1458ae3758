"""`manage.py dispatch_events`: what is due is sent, signed, and counted; a second call has nothing to do."""

import pytest

from portal.models import Delivery
from tests.management.commands import run
from tests.receiver import SECRET, Receiver
from tests.samples import store_file


@pytest.fixture(autouse=True)
def _secret(settings):
    settings.PORTAL_RUNNER_SECRET = SECRET


def test_it_sends_what_is_due_and_says_what_came_of_it(ann, storage, settings):
    for _ in range(2):
        store_file(ann, storage)
    with Receiver() as receiver:
        settings.PORTAL_RUNNER_ENDPOINT = receiver.url
        assert run("dispatch_events") == "delivered=2 failed=0 dead=0\n"
        assert run("dispatch_events") == "delivered=0 failed=0 dead=0\n"
        assert len(set(receiver.event_ids)) == 2
        assert not receiver.badly_signed


def test_what_fails_is_counted(ann, storage, settings):
    store_file(ann, storage)
    with Receiver(lambda received: "error") as receiver:
        settings.PORTAL_RUNNER_ENDPOINT = receiver.url
        assert run("dispatch_events") == "delivered=0 failed=1 dead=0\n"
        settings.PORTAL_OUTBOX_MAX_ATTEMPTS = 2
        assert run("replay_events", str(Delivery.objects.get().event_id)) == "replayed=1\n"
        assert run("dispatch_events") == "delivered=0 failed=1 dead=0\n"


def test_without_an_endpoint_there_is_nothing_to_do(ann, storage):
    store_file(ann, storage)
    assert run("dispatch_events") == "delivered=0 failed=0 dead=0\n"
    assert not Delivery.objects.exists()

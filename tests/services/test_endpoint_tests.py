"""A test message is signed as events are, and is no event."""

import json

import pytest

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.runner.webhook import WebhookRunner
from portal.services.endpoint_tests import send_test
from portal.services.endpoints import note_environment
from tests.receiver import SECRET, Receiver


@pytest.fixture
def receiver(settings):
    """A receiver that the environment names."""
    with Receiver() as found:
        settings.PORTAL_RUNNER_ENDPOINT, settings.PORTAL_RUNNER_SECRET = found.url, SECRET
        yield found


@pytest.mark.parametrize("status", ["ENABLED", "DISABLED"])
def test_a_test_message_is_signed_and_is_no_event(db, receiver, status):
    note_environment()
    Endpoint.objects.update(status=status)
    outcome = send_test(Endpoint.objects.get(), runner=WebhookRunner())
    assert (outcome.status_code, outcome.delivered) == (204, True)
    [received] = receiver.received
    assert not receiver.badly_signed
    body = json.loads(received.body)
    assert (body["event_type"], body["event_id"]) == ("endpoint.test", received.event_id)
    assert "file" not in body
    assert (OutboxEvent.objects.count(), Delivery.objects.count()) == (0, 0)
    assert Endpoint.objects.get().status == status


def test_a_refusal_changes_nothing(db, receiver):
    note_environment()
    receiver.behave = lambda received: "gone"
    assert send_test(Endpoint.objects.get(), runner=WebhookRunner()).gone
    assert Endpoint.objects.get().status == "ENABLED"


def test_addresses_inside_are_not_called_for_an_owner(ann, receiver):
    endpoint = Endpoint.objects.create(url=receiver.url, owner=ann.user)
    assert "private" in send_test(endpoint, runner=WebhookRunner()).error
    assert not receiver.received

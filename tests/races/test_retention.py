"""A replay of an event beside the clean-up that drops its old delivery: it is sent again, whoever is first."""

import pytest

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.services.endpoints import note_environment
from portal.services.replays import replay_event
from portal.services.retention import drop_old_deliveries
from tests.rounds import rounds
from tests.services.situations import make_delivery

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_to_be_sent_again_is_not_dropped_in_between(ann, race, settings):
    settings.PORTAL_RUNNER_ENDPOINT, settings.PORTAL_DELIVERIES_KEEP_DAYS = "https://runner.example.org/", 30
    note_environment()
    for _ in range(rounds(500)):
        event = OutboxEvent(owner=ann.user, event_type="file.uploaded", payload={})
        event.subject_id = event.pk
        event.save(force_insert=True)
        make_delivery(event, Endpoint.objects.get(), made=31, ended=31)
        (sent_to, _) = race(lambda event=event: replay_event(event), drop_old_deliveries, behind=0.004)
        assert [endpoint.pk for endpoint in sent_to] == [Endpoint.ENVIRONMENT_ID]
        assert Delivery.objects.get(event=event).status == "PENDING"
        Delivery.objects.all().delete()

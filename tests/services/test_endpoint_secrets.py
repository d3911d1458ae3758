"""Secrets of endpoints: in no row, two of them live for a day, and another one for each endpoint."""

import base64
import time
from datetime import timedelta

from django.utils import timezone
from standardwebhooks import Webhook

from portal.models import Endpoint
from portal.runner.signature import sign
from portal.services.endpoint_secrets import ROTATION, live_secrets, old_secret_until, rotate_secret, secret_of
from portal.services.endpoints import target_of
from portal.services.own_endpoints import create_endpoint

URL = "https://1.1.1.1/hook"


def verify(endpoint, secret):
    """Raise unless a message to the endpoint is verified by `secret`."""
    now = int(time.time())
    text = sign(target_of(endpoint).keys, event_id="e", timestamp=now, body=b"{}")
    Webhook(secret).verify(b"{}", {"webhook-id": "e", "webhook-timestamp": str(now), "webhook-signature": text})


def a_day_later(endpoint):
    """Let the time of the old secret run out."""
    Endpoint.objects.filter(pk=endpoint.pk).update(rotated_at=timezone.now() - ROTATION - timedelta(seconds=1))
    endpoint.refresh_from_db()


def test_a_secret_is_as_standard_webhooks_has_it_and_in_no_column(ann):
    endpoint = create_endpoint(ann, URL)
    secret = live_secrets(endpoint)
    assert secret == secret_of(endpoint.pk)
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret not in str(Endpoint.objects.values().get())
    verify(endpoint, secret)


def test_no_two_have_the_same(ann, settings):
    endpoints = [create_endpoint(ann, URL) for _ in range(2)]
    secrets = {secret_of(endpoint.pk, number) for endpoint in endpoints for number in (1, 2)}
    assert len(secrets) == 4
    settings.SECRET_KEY = "another"
    assert secret_of(endpoints[0].pk) not in secrets


def test_two_are_live_for_a_day_and_then_the_new_one(ann):
    endpoint = create_endpoint(ann, URL)
    old = live_secrets(endpoint)
    rotate_secret(endpoint)
    new = secret_of(endpoint.pk, 2)
    assert live_secrets(endpoint) == f"{new} {old}"
    assert timezone.now() < old_secret_until(endpoint) <= timezone.now() + ROTATION
    verify(endpoint, old)
    verify(endpoint, new)
    a_day_later(endpoint)
    assert (live_secrets(endpoint), old_secret_until(endpoint)) == (new, None)


def test_a_second_rotation_within_the_day_is_the_first(ann):
    endpoint = create_endpoint(ann, URL)
    stale = Endpoint.objects.get()
    rotate_secret(endpoint)
    rotate_secret(endpoint)
    rotate_secret(stale)
    assert (endpoint.secret_number, stale.secret_number, Endpoint.objects.get().secret_number) == (2, 2, 2)
    a_day_later(endpoint)
    rotate_secret(endpoint)
    assert Endpoint.objects.get().secret_number == 3

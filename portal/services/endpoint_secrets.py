"""Secrets of endpoints: worked out from the portal's own and in no row, so that no copy of the database has one."""

import base64
import hashlib
import hmac
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from portal.models import Endpoint
from portal.runner.signature import PREFIX
from portal.services.transactions import write_transaction

#: How long the secret before the newest one is still good.
ROTATION = timedelta(hours=24)


def secret_of(endpoint_id, number=1):
    """Return the secret of this number (1 is the first) as Standard Webhooks writes one: `whsec_` and base64."""
    name = f"portal.endpoint:{endpoint_id}:{number}".encode()
    key = hmac.digest(settings.SECRET_KEY.encode(), name, hashlib.sha256)
    return PREFIX + base64.b64encode(key).decode()


def old_secret_until(endpoint):
    """Return until when messages are signed with the secret before the newest one too; None when they are not."""
    until = endpoint.rotated_at and endpoint.rotated_at + ROTATION
    return until if until and until > timezone.now() else None


def live_secrets(endpoint):
    """Return the secrets that sign messages now, parted by a blank, the newest first: one, or two for a while."""
    oldest = endpoint.secret_number - (1 if old_secret_until(endpoint) else 0)
    return " ".join(secret_of(endpoint.pk, number) for number in range(endpoint.secret_number, oldest - 1, -1))


def rotate_secret(endpoint):
    """Give the endpoint a new secret, unless the last one is that new that the one before it still lives.

    So it may be asked for again when the answer was lost, and a receiver has the whole time to change its own.
    """
    if old_secret_until(endpoint):
        return
    with write_transaction():
        seen = Endpoint.objects.filter(pk=endpoint.pk, secret_number=endpoint.secret_number)
        seen.update(secret_number=F("secret_number") + 1, rotated_at=timezone.now())
    # Whoever was faster has given it one just now.
    endpoint.refresh_from_db()

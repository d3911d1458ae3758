"""Test messages: an operator sees whether an endpoint answers, without an event of anybody's."""

import orjson
from django.utils import timezone
from uuid_utils.compat import uuid7

from portal.runner.base import Message
from portal.services.endpoints import target_of

#: No type of an event: what comes with it tells of no file and no batch, is in no row, and is not tried again.
TEST_TYPE = "endpoint.test"


def send_test(endpoint, *, runner):
    """Send one message of TEST_TYPE to `endpoint`, signed as events are; return the Outcome.

    Also to one that is DISABLED. It takes as long as the endpoint does, at most an attempt's time; it changes nothing.
    """
    event_id = str(uuid7())
    now = timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"event_type": TEST_TYPE, "event_id": event_id, "occurred_at": now, "endpoint": {"id": str(endpoint.pk)}}
    return runner.send(target_of(endpoint), Message(event_id, orjson.dumps(body)))

"""What an event looks like to who reads it."""

from rest_framework import serializers

from portal.models import OutboxEvent

#: The columns of an event, read with `values()`.
EVENT_FIELDS = "seq id event_type created_at batch_id file_id payload".split()


class EventOut(serializers.Serializer):
    """An event; `payload` is the message as the runner gets it, of the form under `/schemas/events`."""

    seq = serializers.IntegerField()
    event_id = serializers.UUIDField()
    event_type = serializers.ChoiceField(choices=OutboxEvent.Type.choices)
    occurred_at = serializers.DateTimeField()
    batch_id = serializers.UUIDField(allow_null=True)
    file_id = serializers.UUIDField(allow_null=True)
    payload = serializers.DictField()


class EventPage(serializers.Serializer):
    """One page of events, the oldest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = EventOut(many=True)


def render_event(row):
    """Return the members of an event from a dict of EVENT_FIELDS."""
    members = {"seq": row["seq"], "event_id": row["id"], "event_type": row["event_type"]}
    members |= {"occurred_at": row["created_at"], "batch_id": row["batch_id"], "file_id": row["file_id"]}
    return members | {"payload": row["payload"]}

"""What an event looks like to who reads it."""

from rest_framework import serializers

from portal.models import Delivery, OutboxEvent

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


class AttemptOut(serializers.Serializer):
    """One attempt to deliver an event; `status_code` is null when no answer came, and `error` says why."""

    at = serializers.DateTimeField()
    status_code = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    milliseconds = serializers.IntegerField()


class DeliveryOut(serializers.Serializer):
    """What became of an event at one endpoint; `attempts` counts those since it was made or replayed."""

    endpoint_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Delivery.Status.choices)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    history = AttemptOut(many=True)


class EventDetailOut(EventOut):
    """An event, with what became of it at each endpoint."""

    deliveries = DeliveryOut(many=True)


class ReplayOut(EventDetailOut):
    """An event that is sent again: to these endpoints, and to nobody when there are none."""

    sent_to = serializers.ListField(child=serializers.UUIDField())


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


def event_members(event, deliveries):
    """Return the members of an event from its model and the dicts of its deliveries."""
    members = render_event({name: getattr(event, name) for name in EVENT_FIELDS})
    return members | {"deliveries": [_render_delivery(row) for row in deliveries]}


def replay_members(event, deliveries, endpoints):
    """Return the members of an event that is sent to `endpoints` again."""
    return event_members(event, deliveries) | {"sent_to": [endpoint.pk for endpoint in endpoints]}


def _render_delivery(row):
    return row | {"next_attempt_at": row.pop("due_at")}

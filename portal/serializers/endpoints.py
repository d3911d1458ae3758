"""What an endpoint looks like on its way in and out."""

from rest_framework import serializers

from portal.models import Endpoint, OutboxEvent
from portal.runner.addresses import MAX_URL_LENGTH
from portal.serializers.bodies import BodyIn
from portal.serializers.texts import WordField
from portal.services.endpoint_secrets import old_secret_until, secret_of

#: The columns of an endpoint in the API, read with `values()`.
ENDPOINT_FIELDS = "id url event_types status created_at".split()


class EndpointIn(BodyIn):
    """The body of `POST /endpoints`; without `event_types` it hears all of them."""

    url = serializers.CharField(max_length=MAX_URL_LENGTH, trim_whitespace=False)
    event_types = serializers.ListField(
        child=WordField(choices=OutboxEvent.Type.choices), required=False, default=list, max_length=100
    )


class EndpointOut(serializers.Serializer):
    """An endpoint; DISABLED after it has answered 410, or by an operator."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    event_types = serializers.ListField(child=serializers.ChoiceField(choices=OutboxEvent.Type.choices))
    status = serializers.ChoiceField(choices=Endpoint.Status.choices)
    created_at = serializers.DateTimeField()


class NewEndpointOut(EndpointOut):
    """A new endpoint with the secret that signs what it is sent."""

    secret = serializers.CharField()


class SecretOut(serializers.Serializer):
    """The newest secret, and until when messages are signed with the one before it too."""

    secret = serializers.CharField()
    old_secret_until = serializers.DateTimeField(allow_null=True)


class EndpointPage(serializers.Serializer):
    """One page of endpoints."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = EndpointOut(many=True)


def endpoint_members(endpoint):
    """Return the members of an endpoint from its model, without its secret: no answer is kept with it."""
    return {name: getattr(endpoint, name) for name in ENDPOINT_FIELDS}


def with_first_secret(members):
    """Return the members of a new endpoint with its secret."""
    return members | {"secret": secret_of(members["id"])}


def secret_members(endpoint):
    """Return the newest secret of an endpoint."""
    newest = secret_of(endpoint.pk, endpoint.secret_number)
    return {"secret": newest, "old_secret_until": old_secret_until(endpoint)}

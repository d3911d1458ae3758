"""Events over JSON, and the schemas of what they say."""

from functools import cache
from pathlib import Path

import orjson
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.exceptions import NotFound
from portal.models import OutboxEvent
from portal.serializers.events import (
    EVENT_FIELDS,
    EventDetailOut,
    EventPage,
    ReplayOut,
    event_members,
    render_event,
    replay_members,
)
from portal.serializers.texts import BIGINT_MAX, WordField
from portal.services.deliveries import list_deliveries
from portal.services.events import list_events
from portal.services.replays import replay_event
from portal.views.formats import json_object
from portal.views.lists import PageQuery, page_response, read_query
from portal.views.service import Public

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas" / "events"


class BatchEventQuery(PageQuery):
    """The query of `GET /batches/{id}/events`; `after` is the `seq` of the last event that is known."""

    type = WordField(choices=OutboxEvent.Type.choices, required=False)
    after = serializers.IntegerField(min_value=0, max_value=BIGINT_MAX, required=False)


class EventQuery(BatchEventQuery):
    """The query of `GET /events`."""

    batch = serializers.UUIDField(required=False)


class EventList(APIView):
    """GET: own events in the order of `seq`; every owner's with the scope `service`."""

    scopes = {"GET": (access.READ, access.SERVICE)}

    @extend_schema(operation_id="list_events", parameters=[EventQuery], responses=EventPage)
    def get(self, request):
        """List events, the oldest first; who remembers the last `seq` and sends it as `after` misses none."""
        return _listed(request, EventQuery)


class EventDetail(APIView):
    """GET: one event, with what became of it at each endpoint."""

    scopes = {"GET": (access.READ, access.SERVICE)}

    @extend_schema(operation_id="get_event", responses=EventDetailOut)
    def get(self, request, event_id):
        """Show an event, how often it was tried, and whether it is DEAD."""
        event = access.get_event(request.user, event_id)
        return Response(event_members(event, list_deliveries(event)))


class EventReplay(APIView):
    """POST: send an event again."""

    scopes = {"POST": (access.UPLOAD,)}
    problems = {
        "POST": {
            400: "`invalid`: there is a body, and it is not a JSON object.",
            409: "`endpoint_disabled`: every endpoint that hears the event is DISABLED; nothing was changed.",
        }
    }

    @extend_schema(operation_id="replay_event", request=None, responses={202: ReplayOut})
    def post(self, request, event_id):
        """Send an event again, under the same id, to each enabled endpoint that hears it; the worker does it."""
        json_object(request)
        event = access.get_own_event(request.user, event_id)
        endpoints = replay_event(event)
        return Response(replay_members(event, list_deliveries(event), endpoints), status=202)


class BatchEventList(APIView):
    """GET: the events of a batch and of its files; of anybody's with the scope `service`."""

    scopes = {"GET": (access.READ, access.SERVICE)}

    @extend_schema(operation_id="list_batch_events", parameters=[BatchEventQuery], responses=EventPage)
    def get(self, request, batch_id):
        """List the events of a batch, the oldest first."""
        return _listed(request, BatchEventQuery, batch_id=access.get_followed_batch(request.user, batch_id).pk)


def _listed(request, query_class, **fixed):
    query = dict(read_query(request, query_class))
    filters = {"event_type": query.pop("type", None), "batch_id": query.pop("batch", None)} | fixed
    return page_response(request, list_events(request.user, EVENT_FIELDS, **filters, **query), render_event)


class EventSchemaList(Public):
    """GET: where the schemas of events are."""

    @extend_schema(operation_id="list_event_schemas", responses=OpenApiTypes.OBJECT, auth=[])
    def get(self, request):
        """Name the schema of each type of event."""
        return Response({name: f"/schemas/events/{name}.json" for name in OutboxEvent.Type.values})


class EventSchema(Public):
    """GET: the JSON Schema of one type of event."""

    problems = {"GET": {404: "No event has this type."}}

    @extend_schema(operation_id="get_event_schema", responses=OpenApiTypes.OBJECT, auth=[])
    def get(self, request, name):
        """Show the JSON Schema (2020-12) of a type's payload; it changes by addition only."""
        if name not in OutboxEvent.Type.values:
            raise NotFound
        return Response(read_schema(name))


@cache
def read_schema(name):
    """Return the schema of an event type as an object."""
    return orjson.loads((SCHEMAS / f"{name}.json").read_bytes())

"""Endpoints of owners over JSON."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.serializers.endpoints import (
    ENDPOINT_FIELDS,
    EndpointIn,
    EndpointOut,
    EndpointPage,
    NewEndpointOut,
    SecretOut,
    endpoint_members,
    secret_members,
    with_first_secret,
)
from portal.services.endpoint_secrets import rotate_secret
from portal.services.own_endpoints import create_endpoint, delete_endpoint, enable_again, list_endpoints
from portal.views.formats import json_object
from portal.views.idempotent import claimed_key, replay
from portal.views.lists import PageQuery, page_response, read_query
from portal.views.schema import LOCATION

#: An answer with a secret in it is nothing to keep.
NO_STORE = {"Cache-Control": "no-store"}


class EndpointList(APIView):
    """POST: be told of one's own events. GET: own endpoints, newest first."""

    scopes = {"GET": (access.READ,), "POST": (access.UPLOAD,)}
    idempotent = True
    problems = {
        "POST": {
            400: "`invalid`: the URL is no plain http(s) URL, or its address is private, local or reserved.",
            409: "`too_many_endpoints`.",
        }
    }

    @extend_schema(
        operation_id="create_endpoint",
        request=EndpointIn,
        responses={201: NewEndpointOut, 200: NewEndpointOut},
        parameters=[LOCATION],
    )
    def post(self, request):
        """Make an endpoint that hears own events from now on: 201 with the secret that signs them."""
        data = json_object(request)
        fields = EndpointIn(data=data)
        fields.is_valid(raise_exception=True)
        with claimed_key(request, data) as claim:
            if claim and claim.answer is not None:
                claim.answer = with_first_secret(claim.answer)
                return replay(claim, NO_STORE)
            keep = claim and (lambda endpoint: claim.keep(endpoint_members(endpoint)))
            endpoint = create_endpoint(request.user, **fields.validated_data, keep=keep)
        headers = NO_STORE | {"Location": f"/endpoints/{endpoint.pk}"}
        return Response(with_first_secret(endpoint_members(endpoint)), status=201, headers=headers)

    @extend_schema(operation_id="list_endpoints", parameters=[PageQuery], responses=EndpointPage)
    def get(self, request):
        """List own endpoints, newest first; without their secrets."""
        page = list_endpoints(request.user, ENDPOINT_FIELDS, **read_query(request, PageQuery))
        return page_response(request, page, dict)


class EndpointDetail(APIView):
    """GET: an endpoint. DELETE: nothing is sent to it any more."""

    scopes = {"GET": (access.READ,), "DELETE": (access.DELETE,)}

    @extend_schema(operation_id="get_endpoint", responses=EndpointOut)
    def get(self, request, endpoint_id):
        """Show an endpoint; without its secret."""
        return Response(endpoint_members(access.get_endpoint(request.user, endpoint_id)))

    @extend_schema(operation_id="delete_endpoint", responses={204: None})
    def delete(self, request, endpoint_id):
        """Delete an endpoint with what is due for it; a message that is under way may still arrive."""
        delete_endpoint(access.get_endpoint(request.user, endpoint_id))
        return Response(status=204)


class EndpointEnable(APIView):
    """POST: send to it again."""

    scopes = {"POST": (access.UPLOAD,)}
    problems = {"POST": {400: "`invalid`: there is a body, and it is not a JSON object."}}

    @extend_schema(operation_id="enable_endpoint", request=None, responses=EndpointOut)
    def post(self, request, endpoint_id):
        """Send to an endpoint that is DISABLED again, also what has waited; nothing happens to an ENABLED one."""
        json_object(request)
        endpoint = access.get_endpoint(request.user, endpoint_id)
        enable_again(endpoint)
        return Response(endpoint_members(access.get_endpoint(request.user, endpoint_id)))


class EndpointRotate(APIView):
    """POST: a new secret."""

    scopes = {"POST": (access.UPLOAD,)}
    problems = {"POST": {400: "`invalid`: there is a body, and it is not a JSON object."}}

    @extend_schema(operation_id="rotate_endpoint_secret", request=None, responses=SecretOut)
    def post(self, request, endpoint_id):
        """Make a new secret; for a day messages are signed with the old one too. Again within it: the same answer."""
        json_object(request)
        endpoint = access.get_endpoint(request.user, endpoint_id)
        rotate_secret(endpoint)
        return Response(secret_members(endpoint), headers=NO_STORE)

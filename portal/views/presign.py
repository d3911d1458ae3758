"""Parts that go to the store itself, past the portal."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.serializers.presign import CompletePartIn, PresignIn, PresignOut
from portal.serializers.sessions import PartOut
from portal.services.presign import complete_part, presign_parts
from portal.storage import get_storage
from portal.views.formats import json_object

UNSUPPORTED = "`presign_unsupported`: send the parts to the portal. `session_closed`."


class SessionPresign(APIView):
    """POST: signed URLs, so that parts go straight to the store."""

    scopes = {"POST": (access.UPLOAD,)}
    problems = {"POST": {400: "`invalid`: more than 100 parts. `part_out_of_range`.", 409: UNSUPPORTED}}

    @extend_schema(operation_id="presign_parts", request=PresignIn, responses=PresignOut)
    def post(self, request, session_id):
        """Sign a URL for each part of some ranges, at most 100, that is not on record yet."""
        session = access.get_session(request.user, session_id)
        fields = PresignIn(data=json_object(request))
        fields.is_valid(raise_exception=True)
        parts, received = presign_parts(session, fields.validated_data["parts"], storage=get_storage())
        # A URL is as good as a password until it expires.
        return Response({"parts": parts, "received_parts": received}, headers={"Cache-Control": "no-store"})


class PartComplete(APIView):
    """POST: take up a part that was sent to the store."""

    scopes = {"POST": (access.UPLOAD,)}
    problems = {
        "POST": {
            400: "`missing_parts`: the store does not have it. `wrong_part_size`. `part_out_of_range`.",
            409: f"`part_conflict`: the store has another ETag. `part_busy`. {UNSUPPORTED}",
        }
    }

    @extend_schema(operation_id="complete_part", request=CompletePartIn, responses=PartOut)
    def post(self, request, session_id, number):
        """Put a part that was sent to a signed URL on record: from now on its first bytes count."""
        session = access.get_session(request.user, session_id)
        fields = CompletePartIn(data=json_object(request))
        fields.is_valid(raise_exception=True)
        return Response(complete_part(session, number, storage=get_storage(), **fields.validated_data))

"""Upload sessions over JSON; the parts themselves come in by `portal/transfer/`."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.models import UploadSession
from portal.serializers.files import FileOut, file_members
from portal.serializers.sessions import (
    PART_FIELDS,
    SESSION_FIELDS,
    PartPage,
    SessionIn,
    SessionOut,
    SessionPage,
    render_part,
    render_session,
    session_members,
)
from portal.serializers.texts import WordField
from portal.services.cleanup import remove_bytes
from portal.services.finalize import finalize_session
from portal.services.part_records import list_parts
from portal.services.sessions import abort_session, create_session, list_sessions, received_ranges
from portal.storage import get_storage
from portal.transfer.schema_parts import QUOTA_EXCEEDED
from portal.views.formats import json_object
from portal.views.idempotent import claimed_key, replay
from portal.views.lists import PageQuery, page_response, read_query
from portal.views.schema import LOCATION, RETRY_AFTER

#: What a client is told to wait before it asks again for a finalize that goes on.
FINALIZING_RETRY_SECONDS = 2


class SessionQuery(PageQuery):
    """The query of `GET /uploads/sessions`."""

    status = WordField(choices=UploadSession.Status.choices, required=False)


class SessionList(APIView):
    """POST: open a session. GET: own sessions, newest first."""

    scopes = {"GET": (access.READ,), "POST": (access.UPLOAD,)}
    idempotent = True
    problems = {
        "POST": {
            404: "`batch_id` names no batch of yours.",
            409: "`path_taken`, `batch_completed`.",
            413: "`file_too_large`: over `max_file_size_bytes`; or `body_too_large`: over 2 MiB.",
            429: QUOTA_EXCEEDED,
            507: "The storage is full.",
        }
    }

    @extend_schema(
        operation_id="create_session",
        request=SessionIn,
        responses={201: SessionOut, 200: SessionOut},
        parameters=[LOCATION],
    )
    def post(self, request):
        """Open a file and its session: 201 with Location. The answer says how the file is to be cut into parts."""
        data = json_object(request)
        fields = SessionIn(data=data)
        fields.is_valid(raise_exception=True)
        with claimed_key(request, data) as claim:
            if claim and claim.answer is not None:
                return replay(claim)
            keep = claim and (lambda session: claim.keep(session_members(session, [])))
            session = create_session(request.user, **fields.validated_data, storage=get_storage(), keep=keep)
        headers = {"Location": f"/uploads/sessions/{session.pk}"}
        return Response(session_members(session, []), status=201, headers=headers)

    @extend_schema(operation_id="list_sessions", parameters=[SessionQuery], responses=SessionPage)
    def get(self, request):
        """List own sessions, newest first."""
        page = list_sessions(request.user, SESSION_FIELDS, **read_query(request, SessionQuery))
        return page_response(request, page, render_session)


class SessionDetail(APIView):
    """GET: status and what has arrived. DELETE: abort."""

    scopes = {"GET": (access.READ,), "DELETE": (access.UPLOAD,)}
    problems = {"DELETE": {409: "`session_closed`: it is finalizing or has ended."}}

    @extend_schema(operation_id="get_session", responses=SessionOut)
    def get(self, request, session_id):
        """Show a session: exactly the parts that finalize would use."""
        session = access.get_session(request.user, session_id)
        return Response(session_members(session, received_ranges(session)))

    @extend_schema(operation_id="abort_session", responses={204: None})
    def delete(self, request, session_id):
        """Abort an open session: its file is FAILED with `aborted`, its bytes are removed."""
        session = access.get_session(request.user, session_id)
        abort_session(session)
        remove_bytes(session, storage=get_storage())
        return Response(status=204)


class SessionParts(APIView):
    """GET: the recorded parts."""

    scopes = {"GET": (access.READ,)}

    @extend_schema(operation_id="list_parts", parameters=[PageQuery], responses=PartPage)
    def get(self, request, session_id):
        """List number, size and digest of each recorded part, by number."""
        session = access.get_session(request.user, session_id)
        return page_response(request, list_parts(session, PART_FIELDS, **read_query(request, PageQuery)), render_part)


class SessionFinalize(APIView):
    """POST: turn the parts into a STORED file."""

    scopes = {"POST": (access.UPLOAD,)}
    problems = {
        "POST": {
            400: "`missing_parts`, with their ranges; the session stays open. Or `digest_mismatch`.",
            409: "`session_closed`: it was aborted or has expired.",
            422: "`sha256_mismatch`, `content_type_refused`, `scan_refused`, `scan_error`, `bytes_damaged`, "
            "`storage_error`: the file is FAILED.",
        }
    }

    @extend_schema(
        operation_id="finalize_session",
        request=None,
        responses={200: FileOut, 202: SessionOut},
        parameters=[RETRY_AFTER],
    )
    def post(self, request, session_id):
        """Finalize: 200 with the file; 202 with the session while a large file is still being read."""
        session = access.get_session(request.user, session_id)
        file = finalize_session(session, storage=get_storage())
        if file is not None:
            return Response(file_members(file))
        headers = {"Retry-After": str(FINALIZING_RETRY_SECONDS)}
        return Response(session_members(session, received_ranges(session)), status=202, headers=headers)

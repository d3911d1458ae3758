"""Files over JSON; their content goes out by `portal/transfer/`."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.models import IngestFile
from portal.serializers.files import FILE_FIELDS, FileOut, FilePage, file_members, render_file
from portal.serializers.texts import WordField
from portal.services.files import delete_file, list_files
from portal.storage import get_storage
from portal.views.lists import PageQuery, page_response, read_query


class FileQuery(PageQuery):
    """The query of `GET /files`; `batch=none` keeps those that belong to no batch."""

    status = WordField(choices=IngestFile.Status.choices, required=False)
    batch = WordField(choices=["none"], required=False)


class FileList(APIView):
    """GET: own files; every owner's with the scope `service`."""

    scopes = {"GET": (access.READ, access.SERVICE)}

    @property
    def default_response_headers(self):
        """Those of every answer: `Allow` names the byte door's POST of this path too."""
        methods = dict.fromkeys([*self.allowed_methods, "POST"])
        return super().default_response_headers | {"Allow": ", ".join(methods)}

    @extend_schema(operation_id="list_files", parameters=[FileQuery], responses=FilePage)
    def get(self, request):
        """List files, newest first."""
        query = dict(read_query(request, FileQuery))
        loose = query.pop("batch", None) == "none"
        return page_response(request, list_files(request.user, FILE_FIELDS, loose=loose, **query), render_file)


class FileDetail(APIView):
    """GET: one file. DELETE: remove it with its bytes."""

    scopes = {"GET": (access.READ, access.SERVICE), "DELETE": (access.DELETE,)}
    problems = {"DELETE": {409: "`batch_completed`, or `file_busy` while it is being finalized."}}

    @extend_schema(operation_id="get_file", responses=FileOut)
    def get(self, request, file_id):
        """Show a file."""
        return Response(file_members(access.get_file(request.user, file_id)))

    @extend_schema(operation_id="delete_file", responses={204: None})
    def delete(self, request, file_id):
        """Remove a file and its bytes and count it out of its batch; 409 in a completed batch."""
        delete_file(access.get_own_file(request.user, file_id), storage=get_storage())
        return Response(status=204)

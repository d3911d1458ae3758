"""Batches over JSON, and the manifest of one as text."""

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.models import IngestFile, UploadBatch
from portal.serializers.batches import (
    BATCH_FIELDS,
    BatchIn,
    BatchOut,
    BatchPage,
    ReceiptOut,
    SealIn,
    batch_members,
    render_batch,
)
from portal.serializers.declarations import DeclareIn, DeclareResults, read_entry, render_declared
from portal.serializers.files import FILE_FIELDS, FilePage, render_file
from portal.serializers.texts import PlainTextField, WordField
from portal.services.batches import create_batch, get_batch, list_batch_files, list_batches
from portal.services.cancels import cancel_batch, delete_batch_files
from portal.services.declarations import declare_files
from portal.services.receipts import get_receipt, read_manifest, refuse_incomplete
from portal.services.seals import seal_batch
from portal.storage import get_storage
from portal.views.formats import json_object
from portal.views.idempotent import claimed_key, replay
from portal.views.lists import PageQuery, page_response, read_query
from portal.views.schema import LOCATION

#: A manifest's own type first; what else an Accept that names it may look like.
TEXT = ["text/plain; charset=utf-8", "text/plain; charset=UTF-8"]


class BatchQuery(PageQuery):
    """The query of `GET /batches`."""

    status = WordField(choices=UploadBatch.Status.choices, required=False)


class BatchFileQuery(PageQuery):
    """The query of `GET /batches/{id}/files`; `path_prefix` orders by path instead of id."""

    status = WordField(choices=IngestFile.Status.choices, required=False)
    path_prefix = PlainTextField(required=False, allow_blank=True, max_length=1024)


class BatchList(APIView):
    """POST: make a batch. GET: own batches, newest first."""

    scopes = {"GET": (access.READ,), "POST": (access.UPLOAD,)}
    idempotent = True

    @extend_schema(
        operation_id="create_batch",
        request=BatchIn,
        responses={201: BatchOut, 200: BatchOut},
        parameters=[LOCATION],
    )
    def post(self, request):
        """Make a batch: 201 with Location. With an Idempotency-Key seen before: 200 and the first answer."""
        data = json_object(request)
        fields = BatchIn(data=data)
        fields.is_valid(raise_exception=True)
        with claimed_key(request, data) as claim:
            if claim and claim.answer is not None:
                return replay(claim)
            keep = claim and (lambda batch: claim.keep(batch_members(batch)))
            batch = create_batch(request.user, **fields.validated_data, keep=keep)
        return Response(batch_members(batch), status=201, headers={"Location": f"/batches/{batch.pk}"})

    @extend_schema(operation_id="list_batches", parameters=[BatchQuery], responses=BatchPage)
    def get(self, request):
        """List own batches, newest first; `status` filters without counting."""
        page = list_batches(request.user, BATCH_FIELDS, **read_query(request, BatchQuery))
        return page_response(request, page, render_batch)


class CancelQuery(serializers.Serializer):
    """The query of `DELETE /batches/{id}`."""

    files = WordField(choices=["delete"], required=False)


class BatchDetail(APIView):
    """GET: one batch with its counters. DELETE: cancel it."""

    scopes = {"GET": (access.READ,), "DELETE": (access.UPLOAD,)}
    problems = {"DELETE": {409: "`batch_completed`; with `files=delete`, `file_busy` while one is being finalized."}}

    @extend_schema(operation_id="get_batch", responses=BatchOut)
    def get(self, request, batch_id):
        """Show a batch; the counters are read, never counted."""
        return Response(batch_members(get_batch(request.user, batch_id)))

    @extend_schema(operation_id="cancel_batch", parameters=[CancelQuery], responses={204: None})
    def delete(self, request, batch_id):
        """Cancel the batch: open sessions are aborted, no file joins; again is 204 too.

        Stored files stay. With `files=delete` (and the scope `delete`) all its files go with their bytes, those of a
        completed batch too, whose counters and receipt stay as they are.
        """
        delete = read_query(request, CancelQuery).get("files") == "delete"
        if delete:
            request.user.require(access.DELETE)
        carry_out = delete_batch_files if delete else cancel_batch
        carry_out(get_batch(request.user, batch_id), storage=get_storage())
        return Response(status=204)


class BatchFileList(APIView):
    """GET: the files of a batch. POST as JSON: declare files; as a tar or a form it is for the byte door."""

    scopes = {"GET": (access.READ,), "POST": (access.UPLOAD,)}
    idempotent = True

    @extend_schema(operation_id="list_batch_files", parameters=[BatchFileQuery], responses=FilePage)
    def get(self, request, batch_id):
        """List the files of a batch by id, or by path when `path_prefix` is given."""
        batch = get_batch(request.user, batch_id)
        page = list_batch_files(batch, FILE_FIELDS, **read_query(request, BatchFileQuery))
        return page_response(request, page, render_file)

    @extend_schema(operation_id="declare_files", request=DeclareIn, responses=DeclareResults)
    def post(self, request, batch_id):
        """As JSON: declare up to 1,000 files, and learn of each what to do: `upload`, `resume`, `stored`.

        `stored` is also what has the size and SHA-256 of a file that you have stored already, if you may read. A
        `rejected` one has an `error`, and the others go on. With `open_sessions` those that are to be uploaded have
        their sessions at once. Safe to repeat: the path is the key. With an Idempotency-Key seen before: the first
        answer.
        """
        batch = get_batch(request.user, batch_id)
        data = json_object(request)
        fields = DeclareIn(data=data)
        fields.is_valid(raise_exception=True)
        entries = [read_entry(entry) for entry in fields.validated_data["files"]]
        opening = {"storage": get_storage(), "open_sessions": fields.validated_data["open_sessions"]}
        with claimed_key(request, data) as claim:
            if claim and claim.answer is not None:
                return replay(claim)
            keep = claim and (lambda: claim.keep(_declared(entries)))
            declare_files(request.user, batch, entries, **opening, keep=keep)
        return Response(_declared(entries))


def _declared(entries):
    return {"results": [render_declared(entry) for entry in entries]}


class BatchSeal(APIView):
    """POST: no file joins the batch any more."""

    scopes = {"POST": (access.UPLOAD,)}
    problems = {"POST": {409: "`seal_mismatch`: `missing` and `extra` count the files; or `batch_cancelled`."}}

    @extend_schema(operation_id="seal_batch", request=SealIn, responses=BatchOut)
    def post(self, request, batch_id):
        """Seal the batch if it holds what is expected; again on a sealed one is the same answer."""
        batch = get_batch(request.user, batch_id)
        fields = SealIn(data=json_object(request))
        fields.is_valid(raise_exception=True)
        seal_batch(batch, **fields.validated_data)
        return Response(batch_members(batch))


class BatchReceipt(APIView):
    """GET: proof of what was stored."""

    scopes = {"GET": (access.READ,)}
    problems = {"GET": {409: "`batch_not_complete`."}}

    @extend_schema(
        operation_id="get_batch_receipt",
        responses={(200, "application/json"): ReceiptOut, (200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request, batch_id):
        """Show the receipt of a completed batch; with `Accept: text/plain` its manifest, for `sha256sum -c`."""
        batch = get_batch(request.user, batch_id)
        # A cache that keeps one form must not give it to whoever asks for the other.
        headers = {"Vary": "Accept"}
        if request._request.get_preferred_type(["application/json", *TEXT]) in TEXT:
            refuse_incomplete(batch)
            return StreamingHttpResponse(read_manifest(batch), content_type=TEXT[0], headers=headers)
        return Response(get_receipt(batch), headers=headers)

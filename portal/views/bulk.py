"""Many files of a batch in one call."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.serializers.bulk import FinalizeIn, FinalizeResults, render_finalized
from portal.services.batches import get_batch
from portal.services.finalize import finalize_many
from portal.storage import get_storage
from portal.views.formats import json_object


class BatchFinalize(APIView):
    """POST: finalize many sessions of the batch."""

    scopes = {"POST": (access.UPLOAD,)}

    @extend_schema(operation_id="finalize_batch_sessions", request=FinalizeIn, responses=FinalizeResults)
    def post(self, request, batch_id):
        """Finalize up to 1,000 sessions; each has a result of its own, and asking again gives the same ones."""
        batch = get_batch(request.user, batch_id)
        fields = FinalizeIn(data=json_object(request))
        fields.is_valid(raise_exception=True)
        ids = fields.validated_data["session_ids"]
        outcomes = finalize_many(batch, ids, storage=get_storage())
        return Response({"results": [render_finalized(*pair) for pair in zip(ids, outcomes, strict=True)]})

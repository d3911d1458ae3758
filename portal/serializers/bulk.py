"""What calls for many files at once take and give."""

from rest_framework import serializers

from portal.exceptions import PortalError
from portal.serializers.bodies import BodyIn
from portal.serializers.files import FileOut, file_members
from portal.serializers.texts import IdField
from portal.services.limits import MAX_BULK_FILES


class FinalizeIn(BodyIn):
    """The body of `POST /batches/{id}/finalize`: the sessions, each once or more often."""

    session_ids = serializers.ListField(child=IdField(), min_length=1, max_length=MAX_BULK_FILES)


class BulkError(serializers.Serializer):
    """Why one of many was refused; beside these, the members that a problem of this code has."""

    code = serializers.CharField()
    detail = serializers.CharField()


class FinalizeResult(serializers.Serializer):
    """What became of one session."""

    session_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["STORED", "FINALIZING", "REJECTED"])
    file = FileOut(required=False)
    error = BulkError(required=False)


class FinalizeResults(serializers.Serializer):
    """A result for each session, in the order in which they were asked for."""

    results = FinalizeResult(many=True)


def error_members(error):
    """Return the members of the PortalError that refused one of many."""
    return {"code": error.code, "detail": error.detail, **error.extra}


def render_finalized(session_id, outcome):
    """Return the members of a result: `outcome` is the file, None while it goes on, or the PortalError."""
    members = {"session_id": session_id}
    if outcome is None:
        return members | {"status": "FINALIZING"}
    if isinstance(outcome, PortalError):
        return members | {"status": "REJECTED", "error": error_members(outcome)}
    return members | {"status": "STORED", "file": file_members(outcome)}

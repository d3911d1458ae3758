"""What an upload session looks like on its way in and out."""

from rest_framework import serializers

from portal.models import UploadSession
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.serializers.bodies import BodyIn
from portal.serializers.texts import (
    BIGINT_MAX,
    IdField,
    MetadataField,
    NameField,
    PathField,
    Sha256Field,
    WholeNumberField,
)
from portal.services.part_records import describe_part
from portal.services.sessions import missing_ranges

#: The columns of a session, read with `values()` for a list; the ranges of its parts come from their rows.
SESSION_FIELDS = (
    "id file_id file__batch_id status chunk_size_bytes total_parts total_size_bytes completed_parts "
    "received_bytes expires_at"
).split()

#: In this order: a shell script finds the id of a new session first.
SESSION_MEMBERS = (
    "session_id file_id batch_id status chunk_size_bytes total_parts total_size_bytes completed_parts "
    "received_bytes received_parts missing_parts expires_at"
).split()


class SessionIn(BodyIn):
    """The body of `POST /uploads/sessions`; sizes in bytes."""

    original_filename = NameField()
    content_type = NameField(required=False, allow_null=True, default=DEFAULT_CONTENT_TYPE)
    total_size_bytes = WholeNumberField(min_value=0, max_value=BIGINT_MAX)
    batch_id = IdField(required=False, allow_null=True, default=None)
    path = PathField(required=False, allow_null=True, default=None)
    sha256 = Sha256Field(required=False, allow_null=True, default="")
    chunk_size_bytes = WholeNumberField(
        required=False, allow_null=True, default=None, min_value=1, max_value=BIGINT_MAX
    )
    metadata = MetadataField(required=False, allow_null=True, default=dict)


class SessionOut(serializers.Serializer):
    """A session with what has arrived and what is missing, as ranges of part numbers `[first, last]`."""

    session_id = serializers.UUIDField()
    file_id = serializers.UUIDField()
    batch_id = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(choices=UploadSession.Status.choices)
    chunk_size_bytes = serializers.IntegerField()
    total_parts = serializers.IntegerField()
    total_size_bytes = serializers.IntegerField()
    completed_parts = serializers.IntegerField()
    received_bytes = serializers.IntegerField()
    received_parts = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    missing_parts = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    expires_at = serializers.DateTimeField()


class SessionPage(serializers.Serializer):
    """One page of sessions."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = SessionOut(many=True)


class PartDigest(serializers.Serializer):
    """A part's digest, lower-case hex: BLAKE3; of a part that went to the store itself, what that calls it."""

    algorithm = serializers.ChoiceField(choices=["blake3", "md5", "etag"])
    value = serializers.CharField()


class PartOut(serializers.Serializer):
    """A part that is on stable storage and recorded."""

    part_number = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    digest = PartDigest()


class PartPage(serializers.Serializer):
    """One page of the parts of a session, by number."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PartOut(many=True)


def render_session(row):
    """Return the members of a session from a dict of SESSION_FIELDS and its `received_parts`."""
    members = row | {
        "session_id": row["id"],
        "batch_id": row["file__batch_id"],
        "missing_parts": missing_ranges(row["received_parts"], row["total_parts"]),
    }
    return {name: members[name] for name in SESSION_MEMBERS}


def session_members(session, received):
    """Return the members of a session from its model and the ranges of part numbers that were received."""
    names = [name for name in SESSION_FIELDS if name != "file__batch_id"]
    row = {name: getattr(session, name) for name in names}
    return render_session(row | {"file__batch_id": session.file.batch_id, "received_parts": received})


PART_FIELDS = ("number", "size_bytes", "blake3", "etag")


def render_part(row):
    """Return the members of a part from a dict of PART_FIELDS."""
    return describe_part(**row)

"""What a file looks like on its way out."""

from rest_framework import serializers

from portal.models import IngestFile

#: The columns of a file in the API, read with `values()`.
FILE_FIELDS = (
    "id batch_id session_id original_filename path content_type size_bytes sha256 status error metadata "
    "created_at stored_at"
).split()


class FileError(serializers.Serializer):
    """Why a file is FAILED."""

    code = serializers.CharField()
    detail = serializers.CharField()


class FileOut(serializers.Serializer):
    """A file; `sha256` is the digest of its bytes, once it is STORED."""

    id = serializers.UUIDField()
    batch_id = serializers.UUIDField(allow_null=True)
    session_id = serializers.UUIDField(allow_null=True)
    original_filename = serializers.CharField()
    path = serializers.CharField(allow_null=True)
    content_type = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=IngestFile.Status.choices)
    error = FileError(allow_null=True)
    metadata = serializers.DictField()
    created_at = serializers.DateTimeField()
    stored_at = serializers.DateTimeField(allow_null=True)


class FilePage(serializers.Serializer):
    """One page of files."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = FileOut(many=True)


def render_file(row):
    """Return the members of a file from a dict of FILE_FIELDS, which becomes them."""
    row["sha256"] = row["sha256"] or None
    return row


def file_members(file):
    """Return the members of a file from its model."""
    return render_file({name: getattr(file, name) for name in FILE_FIELDS})

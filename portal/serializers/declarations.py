"""What declaring files takes and gives."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from portal.exceptions import Invalid
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.serializers.bodies import BodyIn
from portal.serializers.bulk import BulkError, error_members
from portal.serializers.texts import (
    BIGINT_MAX,
    NameField,
    PathField,
    Sha256Field,
    WholeNumberField,
    describe_fault,
)
from portal.services.entries import Entry
from portal.services.limits import MAX_BULK_FILES


class FlagField(serializers.BooleanField):
    """A JSON `true` or `false`; DRF would take texts and numbers too."""

    def to_internal_value(self, data):
        """Return the boolean."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class EntryIn(BodyIn):
    """A file that will be sent; sizes in bytes."""

    path = PathField()
    total_size_bytes = WholeNumberField(min_value=0, max_value=BIGINT_MAX)
    sha256 = Sha256Field(required=False, allow_null=True, default="")
    content_type = NameField(required=False, allow_null=True, default=DEFAULT_CONTENT_TYPE)


@extend_schema_field(
    {
        "anyOf": [
            {
                "type": "object",
                "required": ["path", "total_size_bytes"],
                "properties": {
                    "path": {"type": "string", "description": "Relative; at most 1,024 bytes of UTF-8."},
                    "total_size_bytes": {"type": "integer", "minimum": 0},
                    "sha256": {"type": ["string", "null"], "pattern": "^[0-9a-fA-F]{64}$"},
                    "content_type": {"type": ["string", "null"], "maxLength": 255},
                },
            },
            {"description": "Whatever else it is: `rejected`, by itself."},
        ]
    }
)
class EntryField(serializers.JSONField):
    """An entry as it came: what is wrong with it is told in its result, and the others go on."""


class DeclareIn(BodyIn):
    """The body of `POST /batches/{id}/files` as JSON."""

    files = serializers.ListField(child=EntryField(allow_null=True), min_length=1, max_length=MAX_BULK_FILES)
    open_sessions = FlagField(required=False, allow_null=True, default=False)


class DeclareResult(serializers.Serializer):
    """What to do for one file; the session's members where one is open."""

    path = serializers.CharField(allow_null=True)
    action = serializers.ChoiceField(choices=["upload", "resume", "stored", "rejected"])
    file_id = serializers.UUIDField(allow_null=True)
    session_id = serializers.UUIDField(required=False)
    chunk_size_bytes = serializers.IntegerField(required=False)
    total_parts = serializers.IntegerField(required=False)
    error = BulkError(required=False)


class DeclareResults(serializers.Serializer):
    """A result for each entry, in order."""

    results = DeclareResult(many=True)


_FIELDS = EntryIn().fields


def read_entry(data):
    """Return the Entry that a JSON value declares; one that is not valid carries its error."""
    members = data if isinstance(data, dict) else {}
    values, errors = {}, []
    for name, field in _FIELDS.items():
        try:
            value = field.run_validation(members.get(name, serializers.empty))
            values[name] = field.get_default() if value is None else value
        except serializers.ValidationError as error:
            errors.append(describe_fault(name, error))
    if errors:
        path = members.get("path")
        detail = f"{errors[0]['field']}: {errors[0]['detail']}"
        return Entry(path if isinstance(path, str) else None, error=Invalid(detail, errors=errors))
    return Entry(values["path"], values["total_size_bytes"], values["sha256"], values["content_type"])


def render_declared(entry):
    """Return the members of the result of an Entry."""
    members = {"path": entry.path, "action": entry.action or "rejected", "file_id": entry.file_id}
    if entry.error:
        return members | {"file_id": None, "error": error_members(entry.error)}
    if entry.session:
        session = entry.session
        members |= {"session_id": session.pk, "chunk_size_bytes": session.chunk_size_bytes}
        members["total_parts"] = session.total_parts
    return members

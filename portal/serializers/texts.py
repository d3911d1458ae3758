"""Checked texts that several inputs share: names, relative paths, metadata, digests."""

import re

import orjson
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from portal.services.limits import MAX_METADATA_BYTES

MAX_PATH_BYTES = 1024
MAX_METADATA_DEPTH = 32
#: What a column of a row holds.
BIGINT_MAX = 2**63 - 1


def describe_fault(field, error):
    """Return the member of `errors` that tells what is wrong with the field of this name: a DRF ValidationError."""
    detail = error.get_full_details()[0]
    return {"field": field, "code": detail["code"], "detail": str(detail["message"])}


#: Unicode's category Cc, and what UTF-8 cannot hold.
CONTROL, SURROGATE = re.compile(r"[\x00-\x1f\x7f-\x9f]"), re.compile(r"[\ud800-\udfff]")


class NameField(serializers.CharField):
    """A text of at most 255 characters without NUL or control characters; blanks are kept as they are."""

    def __init__(self, **options):
        # DRF refuses a blank one by itself; the length is for the API's description.
        shortest = 0 if options.get("allow_blank") else 1
        super().__init__(min_length=shortest, max_length=255, trim_whitespace=False, **options)

    def to_internal_value(self, data):
        """Return the text; refuses numbers too, which DRF would turn into one."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a text.", code="invalid")
        if CONTROL.search(data):
            raise serializers.ValidationError("Must not hold control characters.", code="control_character")
        return super().to_internal_value(data)


class PlainTextField(serializers.CharField):
    """A text of a query, kept as it is; NUL and lone surrogates are refused."""

    def __init__(self, **options):
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data):
        """Return the text."""
        text = super().to_internal_value(data)
        if SURROGATE.search(text):
            raise serializers.ValidationError("Not valid UTF-8.", code="invalid")
        return text


class WordField(serializers.ChoiceField):
    """One of some words; a refusal names them."""

    default_error_messages = {"invalid_choice": '"{input}" is not a valid choice; there are: {words}.'}

    def fail(self, key, **values):
        """Raise ValidationError."""
        super().fail(key, words=", ".join(map(str, self.choices)), **values)


@extend_schema_field(
    {
        "type": "string",
        "description": "A relative path; no segment may be empty, `.` or `..`; at most 1,024 bytes of UTF-8.",
        "minLength": 1,
        "maxLength": MAX_PATH_BYTES,
        "pattern": r"^[^\\\u0000-\u001f\u007f-\u009f]+$",
    }
)
class PathField(serializers.CharField):
    """A relative path with `/`: no empty, `.` or `..` segment, no backslash, at most 1,024 bytes of UTF-8."""

    def __init__(self, **options):
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data):
        """Return the path; raises ValidationError with what is wrong with it."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a text.", code="invalid")
        if len(data.encode()) > MAX_PATH_BYTES:
            raise serializers.ValidationError("At most 1,024 bytes of UTF-8.", code="path_too_long")
        if "\\" in data or CONTROL.search(data):
            raise serializers.ValidationError("No backslash and no control character.", code="invalid_path")
        if any(segment in ("", ".", "..") for segment in data.split("/")):
            raise serializers.ValidationError(
                "A relative path; no segment may be empty, '.' or '..'.", code="invalid_path"
            )
        return data


@extend_schema_field({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"})
class Sha256Field(serializers.CharField):
    """64 hex digits; upper case is taken and made lower."""

    def to_internal_value(self, data):
        """Return the digest in lower case."""
        if not isinstance(data, str) or not re.fullmatch("[0-9a-fA-F]{64}", data):
            raise serializers.ValidationError("Must be 64 hex digits.", code="invalid_sha256")
        return data.lower()


class IdField(serializers.UUIDField):
    """A UUID as text; DRF would take a number too."""

    def to_internal_value(self, data):
        """Return the UUID."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction; texts and booleans are refused."""

    def to_internal_value(self, data):
        """Return the number."""
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("Must be a whole number.", code="invalid")
        return super().to_internal_value(data)


class MetadataField(serializers.DictField):
    """A JSON object of at most 16 KiB, nested at most 32 deep."""

    def to_internal_value(self, data):
        """Return the object as it came."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be a JSON object.", code="invalid")
        if _depth(data) > MAX_METADATA_DEPTH:
            raise serializers.ValidationError("Nested deeper than 32.", code="metadata_too_deep")
        if len(orjson.dumps(data)) > MAX_METADATA_BYTES:
            raise serializers.ValidationError("Over 16 KiB.", code="metadata_too_large")
        return data


def _depth(value):
    if not isinstance(value, (dict, list)):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0)

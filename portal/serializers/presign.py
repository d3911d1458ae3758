"""Signed URLs for parts, on their way in and out."""

from rest_framework import serializers

from portal.serializers.bodies import BodyIn
from portal.serializers.texts import BIGINT_MAX, NameField, WholeNumberField
from portal.services.presign import MAX_URLS


class PresignIn(BodyIn):
    """The body of `POST /uploads/sessions/{id}/presign`: ranges of part numbers `[first, last]`."""

    parts = serializers.ListField(
        child=serializers.ListField(
            child=WholeNumberField(min_value=0, max_value=BIGINT_MAX), min_length=2, max_length=2
        ),
        min_length=1,
        max_length=MAX_URLS,
    )


class SignedPart(serializers.Serializer):
    """Where to send one part: `method` it to `url` with `headers`, before `expires_at`."""

    part_number = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    method = serializers.ChoiceField(choices=["PUT"])
    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())
    expires_at = serializers.DateTimeField()


class PresignOut(serializers.Serializer):
    """URLs for the parts that are not on record, and the ranges of all those that are."""

    parts = SignedPart(many=True)
    received_parts = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))


class CompletePartIn(BodyIn):
    """The body of `POST /uploads/sessions/{id}/parts/{n}/complete`: the ETag that the store gave the client."""

    etag = NameField(required=False, allow_null=True, default=None)

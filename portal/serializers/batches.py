"""What a batch looks like on its way in and out."""

from rest_framework import serializers

from portal.models import UploadBatch
from portal.serializers.bodies import BodyIn
from portal.serializers.texts import BIGINT_MAX, MetadataField, NameField, Sha256Field, WholeNumberField

#: The columns of a batch in the API, read with `values()`; `pending_count` is worked out from them.
BATCH_FIELDS = (
    "id name status expected_files total_files stored_count failed_count total_bytes stored_bytes metadata "
    "created_at updated_at sealed_at completed_at"
).split()


#: The columns that a stream of counters shows; `cancelled_at` says only that nothing follows.
PROGRESS_FIELDS = (
    "id status expected_files total_files stored_count failed_count total_bytes stored_bytes sealed_at completed_at "
    "cancelled_at"
).split()


class BatchIn(BodyIn):
    """The body of `POST /batches`."""

    name = NameField(required=False, allow_blank=True, allow_null=True, default="")
    metadata = MetadataField(required=False, allow_null=True, default=dict)
    expected_files = WholeNumberField(required=False, allow_null=True, default=None, min_value=1, max_value=BIGINT_MAX)


class BatchOut(serializers.Serializer):
    """A batch: its counters always add up, `total_files` = stored + failed + pending."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=UploadBatch.Status.choices)
    expected_files = serializers.IntegerField(allow_null=True)
    total_files = serializers.IntegerField()
    stored_count = serializers.IntegerField()
    failed_count = serializers.IntegerField()
    pending_count = serializers.IntegerField()
    total_bytes = serializers.IntegerField()
    stored_bytes = serializers.IntegerField()
    metadata = serializers.DictField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    sealed_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)


class SealIn(BodyIn):
    """The body of `POST /batches/{id}/seal`: what must be there, or nothing is sealed."""

    expected_files = WholeNumberField(required=False, allow_null=True, default=None, min_value=0, max_value=BIGINT_MAX)
    manifest_sha256 = Sha256Field(required=False, allow_null=True, default=None)


class ReceiptOut(serializers.Serializer):
    """The receipt of a batch that is complete: the same for ever."""

    batch_id = serializers.UUIDField()
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=UploadBatch.Status.choices)
    total_files = serializers.IntegerField()
    stored_count = serializers.IntegerField()
    failed_count = serializers.IntegerField()
    total_bytes = serializers.IntegerField()
    stored_bytes = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField()
    manifest_sha256 = serializers.CharField()


class BatchPage(serializers.Serializer):
    """One page of batches."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = BatchOut(many=True)


def render_batch(row):
    """Return the members of a batch from a dict of BATCH_FIELDS."""
    pending = row["total_files"] - row["stored_count"] - row["failed_count"]
    return {**row, "pending_count": pending}


def render_progress(row):
    """Return the members of one event of a stream of counters from a dict of PROGRESS_FIELDS."""
    members = render_batch(row)
    del members["cancelled_at"]
    return members


def batch_members(batch):
    """Return the members of a batch from its model."""
    return render_batch({name: getattr(batch, name) for name in BATCH_FIELDS})

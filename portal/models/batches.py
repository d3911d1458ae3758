"""A batch: files that belong together, counted."""

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from portal.models.fields import JSONField, OwnedQuerySet, id_field, one_of, owner_field


class UploadBatchQuerySet(OwnedQuerySet):
    """Reads of batches that have a name."""

    def to_complete(self):
        """Those without `completed_at` that have all that they wait for: what they expect, or sealed, none pending.

        A cancelled one is never completed, whatever of it is still finalized.
        """
        ended = Q(sealed_at__isnull=False, total_files=F("stored_count") + F("failed_count"))
        due = self.filter(ended | Q(stored_count__gte=F("expected_files")))
        return due.filter(completed_at__isnull=True, cancelled_at__isnull=True)


class UploadBatch(models.Model):
    """Files that belong together, with counters that each transition of a file moves exactly once."""

    class Status(models.TextChoices):
        INIT = "INIT"  # no file yet
        IN_PROGRESS = "IN_PROGRESS"  # files pending, or fewer than expected
        COMPLETE = "COMPLETE"  # all stored
        PARTIAL = "PARTIAL"  # all ended, some failed
        FAILED = "FAILED"  # all failed
        CANCELLED = "CANCELLED"  # no file joins any more

    id = id_field()
    owner = owner_field()
    name = models.CharField(max_length=255, blank=True)
    metadata = JSONField(default=dict, blank=True)
    expected_files = models.BigIntegerField(null=True, blank=True)
    total_files = models.BigIntegerField(default=0)
    stored_count = models.BigIntegerField(default=0)
    failed_count = models.BigIntegerField(default=0)
    total_bytes = models.BigIntegerField(default=0)
    stored_bytes = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    sealed_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    #: The files of a completed batch were deleted: from then on counters and manifest speak of what was.
    files_deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: SHA-256 of the manifest, reckoned when the receipt was first asked for.
    manifest_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    #: Derived by the database from the counters, so that it cannot disagree with them and can be indexed.
    status = models.GeneratedField(
        expression=Case(
            When(cancelled_at__isnull=False, then=Value("CANCELLED")),
            When(total_files=0, then=Value("INIT")),
            When(total_files__lt=F("expected_files"), then=Value("IN_PROGRESS")),
            When(total_files__gt=F("stored_count") + F("failed_count"), then=Value("IN_PROGRESS")),
            When(failed_count=0, then=Value("COMPLETE")),
            When(stored_count=0, then=Value("FAILED")),
            default=Value("PARTIAL"),
        ),
        output_field=models.CharField(max_length=16, choices=Status.choices),
        db_persist=True,
    )

    objects = UploadBatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "upload batches"
        indexes = [
            models.Index(fields=["owner", "id"], name="batch_owner_id"),
            models.Index(fields=["owner", "status", "id"], name="batch_owner_status_id"),
        ]
        constraints = [
            one_of("status", "INIT IN_PROGRESS COMPLETE PARTIAL FAILED CANCELLED", name="batch_status_known"),
            models.CheckConstraint(
                condition=Q(stored_count__gte=0, failed_count__gte=0)
                & Q(total_files__gte=F("stored_count") + F("failed_count")),
                name="batch_counters_add_up",
            ),
            models.CheckConstraint(
                condition=Q(stored_bytes__gte=0, total_bytes__gte=F("stored_bytes")), name="batch_bytes_add_up"
            ),
        ]

    def __str__(self):
        return self.name or str(self.pk)

    @property
    def pending_count(self):
        """Files that joined and have not ended yet."""
        return self.total_files - self.stored_count - self.failed_count

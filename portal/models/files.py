"""A file: what was handed in, on its way or stored."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.models.batches import UploadBatch
from portal.models.fields import JSONField, OwnedQuerySet, id_field, one_of, owner_field

#: Of a file whose type nobody told.
DEFAULT_CONTENT_TYPE = "application/octet-stream"


class IngestFile(models.Model):
    """One file that was announced; STORED is final, and from then on its bytes never change."""

    class Status(models.TextChoices):
        EXPECTED = "EXPECTED"  # declared; no bytes yet
        UPLOADING = "UPLOADING"  # a session is open or being finalized
        STORED = "STORED"  # size and SHA-256 match bytes that are durable
        FAILED = "FAILED"  # aborted, expired or refused; `error` says why

    TRANSITIONS = {
        Status.EXPECTED: {Status.UPLOADING, Status.FAILED},
        Status.UPLOADING: {Status.STORED, Status.FAILED},
        Status.STORED: set(),
        Status.FAILED: {Status.UPLOADING, Status.EXPECTED},
    }

    id = id_field()
    owner = owner_field()
    batch = models.ForeignKey(
        UploadBatch, on_delete=models.PROTECT, null=True, blank=True, related_name="files", db_index=False
    )
    #: The session that carries it now, or carried it last.
    session_id = models.UUIDField(null=True, blank=True, editable=False)
    original_filename = models.CharField(max_length=255)
    #: Relative, with `/`; compared bytewise (a migration gives it the collation "C" on PostgreSQL).
    path = models.CharField(max_length=1024, null=True, blank=True)  # noqa: DJ001  NULL: it has no path
    content_type = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64, blank=True)
    #: What the client said before the bytes came; empty if it did not.
    declared_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.UPLOADING)
    status_at = models.DateTimeField(default=timezone.now, editable=False)
    error = JSONField(null=True, blank=True)
    metadata = JSONField(default=dict, blank=True)
    storage_backend = models.CharField(max_length=16, blank=True)
    storage_key = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    stored_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["batch", "id"], name="file_batch_id"),
            models.Index(fields=["batch", "status", "id"], name="file_batch_status_id"),
            models.Index(fields=["owner", "id"], name="file_owner_id"),
            models.Index(fields=["owner", "status", "id"], name="file_owner_status_id"),
            models.Index(fields=["owner", "id"], name="file_loose_id", condition=Q(batch__isnull=True)),
            models.Index(
                fields=["owner", "sha256", "size_bytes", "id"], name="file_known_bytes", condition=Q(status="STORED")
            ),
            models.Index(fields=["storage_key"], name="file_storage_key", condition=~Q(storage_key="")),
        ]
        constraints = [
            one_of("status", "EXPECTED UPLOADING STORED FAILED", name="file_status_known"),
            models.UniqueConstraint(fields=["batch", "path"], name="file_path_once_in_batch"),
            models.CheckConstraint(condition=Q(size_bytes__gte=0), name="file_size_not_negative"),
            models.CheckConstraint(
                condition=~Q(status="STORED") | ~Q(sha256="") & ~Q(storage_key=""),
                name="file_stored_has_digest_and_key",
            ),
        ]

    def __str__(self):
        return f"{self.original_filename} ({self.pk})"

    def is_declared_as(self, size, sha256=""):
        """Whether it can be the file of these bytes: it was declared with this size and no other digest."""
        known = self.sha256 or self.declared_sha256
        return self.size_bytes == size and (not sha256 or not known or sha256 == known)

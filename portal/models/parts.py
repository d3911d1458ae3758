"""A part: bytes of a session that are on stable storage."""

from django.db import models
from django.utils import timezone

from portal.models.fields import id_field
from portal.models.prepared import Prepared, slots
from portal.models.sessions import UploadSession


class UploadPart(models.Model):
    """One part that was received whole, is durable, and will be used by finalize as it is."""

    id = id_field()
    session = models.ForeignKey(UploadSession, on_delete=models.CASCADE, related_name="parts", db_index=False)
    #: 1-based, as S3 numbers them.
    number = models.IntegerField()
    size_bytes = models.BigIntegerField()
    #: Empty where the client sent the part to the storage itself: then `etag` says which bytes it has.
    blake3 = models.CharField(max_length=64, blank=True)
    #: Kept when the client sent one with the part (Content-Digest).
    sha256 = models.CharField(max_length=64, blank=True)
    #: What the storage calls it, where that keeps parts.
    etag = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="part_once_in_session"),
            models.CheckConstraint(condition=models.Q(number__gte=1, size_bytes__gte=1), name="part_not_empty"),
        ]

    def __str__(self):
        return f"part {self.number} of {self.session_id}"


class PartClaim(models.Model):
    """The right to write one part, where the storage has no locks; gone once the part is recorded or given up."""

    id = id_field()
    session = models.ForeignKey(UploadSession, on_delete=models.CASCADE, related_name="part_claims", db_index=False)
    number = models.IntegerField()
    #: The same for all parts that one writer claimed together.
    token = models.UUIDField(db_index=True)
    #: By the database's clock; renewed for as long as the writer's process lives.
    lease_until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["lease_until"], name="part_claim_lease")]
        constraints = [models.UniqueConstraint(fields=["session", "number"], name="part_claimed_once")]

    def __str__(self):
        return f"claim on part {self.number} of {self.session_id}"


#: The statements of every part that comes in.
FIND_PART = Prepared(
    lambda: UploadPart.objects.filter(**slots(UploadPart, "session_id", "number")).values_list(
        "size_bytes", "blake3", "etag"
    )
)
#: What a finalize reads of all parts of a session.
FIND_PARTS = Prepared(
    lambda: (
        UploadPart.objects.filter(**slots(UploadPart, "session_id"))
        .order_by("number")
        .values_list("number", "size_bytes", "blake3", "etag")
    )
)
INSERT_PART = Prepared(lambda: UploadPart(**slots(UploadPart)))

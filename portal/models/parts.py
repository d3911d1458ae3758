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
    blake3 = models.CharField(max_length=64)
    #: Kept when the client sent one with the part (Content-Digest).
    sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="part_once_in_session"),
            models.CheckConstraint(condition=models.Q(number__gte=1, size_bytes__gte=1), name="part_not_empty"),
        ]

    def __str__(self):
        return f"part {self.number} of {self.session_id}"


#: The statements of every part that comes in.
FIND_PART = Prepared(
    lambda: UploadPart.objects.filter(**slots(UploadPart, "session_id", "number")).values_list("size_bytes", "blake3")
)
INSERT_PART = Prepared(lambda: UploadPart(**slots(UploadPart)))

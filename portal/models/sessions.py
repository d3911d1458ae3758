"""An upload session: one file on its way in."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from portal.models.fields import JSONField, OwnedQuerySet, id_field, one_of, owner_field
from portal.models.files import IngestFile
from portal.models.prepared import Prepared, slots


class UploadSessionQuerySet(OwnedQuerySet):
    """Reads of sessions that have a name."""

    def open(self):
        """Those that accept parts."""
        return self.filter(status__in=UploadSession.OPEN)

    def alive(self):
        """Those that have not ended."""
        return self.filter(status__in=UploadSession.ALIVE)

    def overdue(self):
        """Open ones whose lifetime is over, by the database's clock."""
        return self.open().filter(expires_at__lte=Now())

    def claimable(self):
        """Those whose finalize is waiting for somebody: never claimed, or the claim's lease ran out."""
        return self.filter(status=UploadSession.Status.FINALIZING, lease_until__lte=Now())

    def dead(self):
        """Those whose bytes are of no use to anybody: ended without a file, or the file was deleted."""
        return self.filter(Q(status__in=UploadSession.DEAD) | Q(file__isnull=True))


class UploadSession(models.Model):
    """One file on its way in: which parts are expected, which have arrived."""

    class Status(models.TextChoices):
        INIT = "INIT"  # no part yet
        IN_PROGRESS = "IN_PROGRESS"  # accepts parts
        FINALIZING = "FINALIZING"  # parts are frozen; a claim is being worked
        COMPLETE = "COMPLETE"  # the file is STORED
        FAILED = "FAILED"  # finalize found that the file cannot be stored; `error` says why
        ABORTED = "ABORTED"  # given up by the client
        EXPIRED = "EXPIRED"  # left alone for longer than its lifetime

    OPEN = (Status.INIT, Status.IN_PROGRESS)
    ALIVE = (*OPEN, Status.FINALIZING)
    DEAD = (Status.FAILED, Status.ABORTED, Status.EXPIRED)
    TRANSITIONS = {
        Status.INIT: {Status.IN_PROGRESS, Status.FINALIZING, Status.ABORTED, Status.EXPIRED},
        Status.IN_PROGRESS: {Status.FINALIZING, Status.ABORTED, Status.EXPIRED},
        # Back to IN_PROGRESS where the storage has other bytes than those of the parts on record.
        Status.FINALIZING: {Status.COMPLETE, Status.FAILED, Status.IN_PROGRESS},
        Status.COMPLETE: set(),
        Status.FAILED: set(),
        Status.ABORTED: set(),
        Status.EXPIRED: set(),
    }

    id = id_field()
    owner = owner_field()
    #: NULL once the file was deleted: the bytes are to go, then this row.
    file = models.ForeignKey(IngestFile, on_delete=models.SET_NULL, null=True, related_name="sessions")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.INIT)
    status_at = models.DateTimeField(default=timezone.now, editable=False)
    chunk_size_bytes = models.BigIntegerField()
    total_parts = models.IntegerField()
    total_size_bytes = models.BigIntegerField()
    completed_parts = models.IntegerField(default=0)
    received_bytes = models.BigIntegerField(default=0)
    declared_sha256 = models.CharField(max_length=64, blank=True)
    error = JSONField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    #: Counts the writers that found data in a range that no row names; aikb/architecture.md, "the fence".
    fence = models.IntegerField(default=0)
    #: Who works on the finalize, until when (the database's clock), how often it was tried.
    claim_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.IntegerField(default=0)
    #: Where the bytes go; made once, kept before any byte moves.
    object_key = models.CharField(max_length=80, blank=True)
    #: What the storage calls this upload, if anything.
    upload_id = models.CharField(max_length=1024, blank=True)
    #: Whether clients were given URLs, so that the storage may have parts that are not on record.
    presigned = models.BooleanField(default=False)
    #: Numbers of parts that the storage had other bytes for: such a one is taken from there only by its ETag.
    disputed_parts = JSONField(default=list, blank=True)
    bytes_removed = models.BooleanField(default=False)

    objects = UploadSessionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["owner", "id"], name="session_owner_id"),
            models.Index(fields=["owner", "status", "id"], name="session_owner_status_id"),
            models.Index(
                fields=["expires_at"], name="session_open_expires", condition=Q(status__in=["INIT", "IN_PROGRESS"])
            ),
            models.Index(fields=["lease_until"], name="session_lease", condition=Q(status="FINALIZING")),
            models.Index(
                fields=["id"],
                name="session_dead_bytes",
                condition=Q(bytes_removed=False)
                & (Q(status__in=["FAILED", "ABORTED", "EXPIRED"]) | Q(file__isnull=True)),
            ),
            models.Index(fields=["object_key"], name="session_object_key", condition=~Q(object_key="")),
        ]
        constraints = [
            one_of(
                "status", "INIT IN_PROGRESS FINALIZING COMPLETE FAILED ABORTED EXPIRED", name="session_status_known"
            ),
            models.CheckConstraint(
                condition=Q(completed_parts__gte=0, completed_parts__lte=F("total_parts")),
                name="session_parts_within_total",
            ),
            models.CheckConstraint(
                condition=Q(received_bytes__gte=0, received_bytes__lte=F("total_size_bytes")),
                name="session_bytes_within_total",
            ),
        ]

    def __str__(self):
        return f"session {self.pk}"

    @property
    def staging_key(self):
        """Where the parts are written: generated, spread over 256 folders by its random tail."""
        return f"{self.pk.hex[-2:]}/{self.pk.hex}"

    def part_size(self, number):
        """Return the size in bytes of part `number` (1-based): one chunk, or what is left for the last."""
        return min(self.chunk_size_bytes, self.total_size_bytes - (number - 1) * self.chunk_size_bytes)


#: What a part needs to know of its session, in the order of the columns: `from_db` goes by it.
GRID_FIELDS = ("id", "status", "chunk_size_bytes", "total_parts", "total_size_bytes", "object_key", "upload_id")
FIND_GRID = Prepared(
    lambda: UploadSession.objects.filter(**slots(UploadSession, "id", "owner_id"), file__isnull=False).values_list(
        *GRID_FIELDS
    )
)
#: A session with its file; that of a deleted file is not there.
FIND_SESSION = Prepared(
    lambda: UploadSession.objects.filter(**slots(UploadSession, "id", "owner_id"), file__isnull=False).select_related(
        "file"
    )
)
FIND_OPEN = Prepared(lambda: UploadSession.objects.open().filter(**slots(UploadSession, "id")).values_list("status"))

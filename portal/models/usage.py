"""What an owner takes up: counted like a batch, so that a quota costs no count."""

from django.conf import settings
from django.db import models
from django.db.models import F


class OwnerUsageQuerySet(models.QuerySet):
    """Reads of usage that have a name."""

    def with_room(self, size, *, sessions=0, bytes_quota=0, sessions_quota=0):
        """Those that take `size` more bytes and so many more sessions within the quotas; 0 is no quota."""
        rows = self
        if bytes_quota:
            rows = rows.filter(stored_bytes__lte=bytes_quota - size - F("open_bytes"))
        if sessions_quota and sessions:
            rows = rows.filter(open_sessions__lte=sessions_quota - sessions)
        return rows


class OwnerUsage(models.Model):
    """Bytes and sessions of one owner, moved in the transaction of each transition, after the batch's counters."""

    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+", editable=False
    )
    #: Of STORED files.
    stored_files = models.BigIntegerField(default=0)
    stored_bytes = models.BigIntegerField(default=0)
    #: Sessions that have not ended, and the bytes that they declared.
    open_sessions = models.BigIntegerField(default=0)
    open_bytes = models.BigIntegerField(default=0)

    objects = OwnerUsageQuerySet.as_manager()

    def __str__(self):
        return f"owner {self.owner_id}: {self.stored_bytes} bytes stored, {self.open_bytes} declared"

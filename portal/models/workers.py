"""Workers that live, and how far they have come with counting again."""

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from portal.models.fields import id_field


class WorkerBeatQuerySet(models.QuerySet):
    """Reads of beats that have a name."""

    def since(self, seconds):
        """Those of workers that were heard of within so many seconds, by the database's clock."""
        return self.filter(beat_at__gte=Now() - timedelta(seconds=seconds))


class WorkerBeat(models.Model):
    """One worker process that runs, or died: a clean stop removes the row."""

    id = id_field()
    #: Machine and process, for people.
    name = models.CharField(max_length=255)
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    #: When it was heard of last (the database's clock).
    beat_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WorkerBeatQuerySet.as_manager()

    def __str__(self):
        return f"{self.name}, heard of at {self.beat_at:%Y-%m-%d %H:%M:%S}"


class Recount(models.Model):
    """The one row that says how far the workers have counted again, and what drift the last whole pass found."""

    ONLY = 1

    id = models.SmallIntegerField(primary_key=True, default=ONLY, editable=False)
    #: The batch that this pass has come to; none between two passes.
    last_batch_id = models.UUIDField(null=True, blank=True)
    #: The owner that it has come to once all batches are counted; none before.
    last_owner_id = models.BigIntegerField(null=True, blank=True)
    #: What this pass has found so far.
    found = models.BigIntegerField(default=0)
    #: What the last whole pass found; unknown before the first.
    drift = models.BigIntegerField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="recount_is_one_row")]

    def __str__(self):
        return f"drift {self.drift}, counted until {self.finished_at}"

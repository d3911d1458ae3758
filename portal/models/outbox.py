"""The outbox: what the runner is to be told, written in the transaction of the change that it tells."""

from django.db import models
from django.utils import timezone

from portal.models.fields import OwnedQuerySet, id_field, one_of, owner_field


class OutboxEvent(models.Model):
    """One event; its id is the `event_id` that the runner sees, the same over all retries."""

    class Type(models.TextChoices):
        FILE_UPLOADED = "file.uploaded"  # a file became STORED
        FILE_FAILED = "file.failed"  # a file became FAILED
        BATCH_COMPLETED = "batch.completed"  # all that a batch waited for is stored

    id = id_field()
    owner = owner_field()
    event_type = models.CharField(max_length=32, choices=Type.choices)
    #: What the event tells of, once: the session of a file's event, the batch of a batch's.
    subject_id = models.UUIDField()
    batch_id = models.UUIDField(null=True, blank=True)
    file_id = models.UUIDField(null=True, blank=True)
    payload = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            one_of("event_type", "file.uploaded file.failed batch.completed", name="event_type_known"),
            # A second event for the same change is refused by the database itself.
            models.UniqueConstraint(fields=["subject_id", "event_type"], name="event_once_for_subject"),
        ]

    def __str__(self):
        return f"{self.event_type} {self.pk}"

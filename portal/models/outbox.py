"""The outbox: what the runner is to be told, written in the transaction of the change that it tells."""

from django.db import connection, models
from django.db.models import Q
from django.utils import timezone

from portal.models.fields import JSONField, OwnedQuerySet, id_field, one_of, owner_field


class OutboxEventQuerySet(OwnedQuerySet):
    """Reads of events that have a name, and the one write that the ORM has no short form for."""

    def give_numbers(self, *, after, limit):
        """Number up to `limit` events that have no number, by their ids and from `after` on; return how many.

        In one statement: one that names each row costs fourteen times as much.
        """
        with connection.cursor() as cursor:
            cursor.execute(GIVE_NUMBERS, [after, limit])
            return cursor.rowcount


GIVE_NUMBERS = """
UPDATE portal_outboxevent SET seq = %s + numbered.place
FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS place
    FROM (SELECT id FROM portal_outboxevent WHERE seq IS NULL ORDER BY id LIMIT %s) AS unnumbered
) AS numbered
WHERE portal_outboxevent.id = numbered.id
"""


#: For a reader an event is there once it has its number.
NUMBERED = Q(seq__isnull=False)


class OutboxEvent(models.Model):
    """One event; its id is the `event_id` that the runner sees, the same over all retries."""

    class Type(models.TextChoices):
        FILE_UPLOADED = "file.uploaded"  # a file became STORED
        FILE_FAILED = "file.failed"  # a file became FAILED
        BATCH_COMPLETED = "batch.completed"  # all that a batch waited for is stored

    id = id_field()
    owner = owner_field()
    event_type = models.CharField(max_length=32, choices=Type.choices)
    #: What the event tells of, once: the session of a file's event, the file itself if it had none, or the batch.
    subject_id = models.UUIDField()
    batch_id = models.UUIDField(null=True, blank=True)
    file_id = models.UUIDField(null=True, blank=True)
    payload = JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    #: Its place in the order in which events are read; given after the commit, so that no reader misses one.
    seq = models.BigIntegerField(null=True, blank=True, unique=True, editable=False)

    objects = OutboxEventQuerySet.as_manager()

    class Meta:
        indexes = [
            # Of all: a user who is to be removed, and the admin's filters, ask for those without a number too.
            models.Index(fields=["owner", "seq"], name="event_owner_seq"),
            models.Index(fields=["event_type", "seq"], name="event_type_seq"),
            # Of those that are read: an event takes a place in them once, when it is numbered.
            models.Index(fields=["owner", "event_type", "seq"], name="event_owner_type_numbered", condition=NUMBERED),
            models.Index(fields=["batch_id", "seq"], name="event_batch_numbered", condition=NUMBERED),
            models.Index(fields=["id"], name="event_unnumbered", condition=Q(seq__isnull=True)),
        ]
        constraints = [
            one_of("event_type", "file.uploaded file.failed batch.completed", name="event_type_known"),
            # A second event for the same change is refused by the database itself.
            models.UniqueConstraint(fields=["subject_id", "event_type"], name="event_once_for_subject"),
        ]

    def __str__(self):
        return f"{self.event_type} {self.pk}"


class EventCounter(models.Model):
    """The one row that holds the last `seq`; whoever numbers events holds it to the end of the commit."""

    ONLY = 1

    id = models.SmallIntegerField(primary_key=True, default=ONLY, editable=False)
    last_seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="event_counter_is_one_row")]

    def __str__(self):
        return f"events up to {self.last_seq}"

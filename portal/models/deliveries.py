"""Deliveries: one event on its way to one endpoint."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from portal.models.endpoints import Endpoint
from portal.models.fields import JSONField, id_field, one_of
from portal.models.outbox import OutboxEvent


class DeliveryQuerySet(models.QuerySet):
    """Reads of deliveries that have a name."""

    def due(self):
        """Those to be sent now, by the database's clock: their time has come, or a claim's lease ran out.

        Not asked by the status, which is PENDING then: PostgreSQL, whose statistics are from when nothing waited, would
        go by it through all that wait.
        """
        return self.filter(due_at__lte=Now())

    def pending(self):
        """Those that are still to be sent, by the index that has no others in it."""
        return self.filter(due_at__isnull=False)

    def waiting(self):
        """Those that nobody sends just now."""
        return self.filter(status=Delivery.Status.PENDING, claim_token__isnull=True)

    def dead(self):
        """Those that are tried no more."""
        return self.filter(status=Delivery.Status.DEAD)


class Delivery(models.Model):
    """What one endpoint is to be told of one event, how often that was tried, and what came of it."""

    class Status(models.TextChoices):
        PENDING = "PENDING"  # waits for its time, or is being sent under a claim
        DELIVERED = "DELIVERED"  # the endpoint has answered 2xx
        DEAD = "DEAD"  # every attempt has failed; a replay sends it again

    TRANSITIONS = {
        Status.PENDING: {Status.DELIVERED, Status.DEAD},
        Status.DELIVERED: {Status.PENDING},
        Status.DEAD: {Status.PENDING},
    }

    id = id_field()
    event = models.ForeignKey(OutboxEvent, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    status_at = models.DateTimeField(default=timezone.now, editable=False)
    #: When it is to be sent next (the database's clock); while somebody sends it, the end of their lease; else empty.
    due_at = models.DateTimeField(null=True, blank=True)
    claim_token = models.UUIDField(null=True, blank=True)
    #: How often it was tried since it was made, or replayed.
    attempts = models.IntegerField(default=0)
    #: The last attempts, the newest last: `{"at", "status_code", "error", "milliseconds"}`.
    history = JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            # Not by the status: PostgreSQL would then take it to find one by its id and its status.
            models.Index(fields=["endpoint", "due_at"], name="delivery_due_at", condition=Q(due_at__isnull=False)),
            models.Index(fields=["endpoint", "status", "id"], name="delivery_endpoint_status_id"),
            models.Index(fields=["id"], name="delivery_dead", condition=Q(status="DEAD")),
        ]
        constraints = [
            one_of("status", "PENDING DELIVERED DEAD", name="delivery_status_known"),
            models.CheckConstraint(
                condition=Q(status="PENDING", due_at__isnull=False) | (Q(due_at__isnull=True) & ~Q(status="PENDING")),
                name="delivery_due_while_pending",
            ),
            models.UniqueConstraint(fields=["event", "endpoint"], name="delivery_once"),
        ]

    def __str__(self):
        return f"delivery {self.pk}"

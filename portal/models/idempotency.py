"""Idempotency keys: the answers that a repeated request gets again."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.models.fields import JSONField, OwnedQuerySet, id_field, one_of, owner_field


class IdempotencyKey(models.Model):
    """One key of one caller: claimed while its request runs, then with the answer that is given again."""

    class Status(models.TextChoices):
        CLAIMED = "CLAIMED"  # the first request is running, until `lease_until`
        ANSWERED = "ANSWERED"  # `answer` is what its 2xx answer said

    TRANSITIONS = {Status.CLAIMED: {Status.ANSWERED}, Status.ANSWERED: set()}

    id = id_field()
    owner = owner_field()
    key = models.CharField(max_length=255)
    #: SHA-256 over method, path and body: what "the same request" means.
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.CLAIMED)
    status_at = models.DateTimeField(default=timezone.now, editable=False)
    claim_token = models.UUIDField()
    lease_until = models.DateTimeField()
    answer = JSONField(null=True)
    #: The answer byte for byte, which PostgreSQL's JSON is not; empty where the code before this column gave it.
    answer_text = models.TextField(default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]
        constraints = [
            one_of("status", "CLAIMED ANSWERED", name="idempotency_status_known"),
            models.UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once"),
            models.CheckConstraint(
                condition=Q(status="CLAIMED", answer__isnull=True) | Q(status="ANSWERED", answer__isnull=False),
                name="idempotency_answered_has_answer",
            ),
        ]

    def __str__(self):
        return f"{self.key} of {self.owner_id}"

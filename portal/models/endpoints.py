"""Endpoints: who is told of events, and how far each has been handed them."""

from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils import timezone

from portal.models.fields import JSONField, OwnedQuerySet, id_field, one_of


class EndpointQuerySet(OwnedQuerySet):
    """Reads of endpoints that have a name."""

    def enabled(self):
        """Those that anything is sent to."""
        return self.filter(status=Endpoint.Status.ENABLED)


class Endpoint(models.Model):
    """One receiver of events; that of the environment has a fixed id and is nobody's."""

    class Status(models.TextChoices):
        ENABLED = "ENABLED"  # is sent what is due
        DISABLED = "DISABLED"  # has answered 410, or was switched off: what is due for it waits

    TRANSITIONS = {Status.ENABLED: {Status.DISABLED}, Status.DISABLED: {Status.ENABLED}}
    #: The id of the one that PORTAL_RUNNER_ENDPOINT names.
    ENVIRONMENT_ID = UUID("00000000-0000-7000-8000-000000000001")

    id = id_field()
    #: Whose events it hears; every event when empty.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    url = models.CharField(max_length=2048)
    #: The types that it hears; all when empty.
    event_types = JSONField(default=list, blank=True)
    #: Which of its secrets is the newest; the secrets themselves are in no row.
    secret_number = models.IntegerField(default=1)
    rotated_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ENABLED)
    status_at = models.DateTimeField(default=timezone.now, editable=False)
    #: The number of the last event that it was handed: it has a delivery for each up to here that is for it.
    last_seq = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["owner", "id"], name="endpoint_owner_id")]
        constraints = [one_of("status", "ENABLED DISABLED", name="endpoint_status_known")]

    def __str__(self):
        return f"endpoint {self.pk}"

"""API tokens: shown once, kept as a hash."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.models.fields import JSONField, id_field
from portal.models.prepared import Prepared, slots


class ApiTokenQuerySet(models.QuerySet):
    """Reads of tokens that have a name."""

    def active(self):
        """Those that open something now."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), revoked_at__isnull=True)


class ApiToken(models.Model):
    """A bearer token of a user: what it allows, until when; the token itself is not kept."""

    id = id_field()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True)
    #: SHA-256 of the token, hex. The token has 256 random bits, so a slow hash would add nothing.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    #: Its first characters, to tell tokens apart in a list.
    prefix = models.CharField(max_length=12, editable=False)
    scopes = JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self):
        return f"{self.prefix}… of {self.user}"

    @property
    def state(self):
        """`active`, `expired` or `revoked`, by this machine's clock."""
        return token_state(self.expires_at, self.revoked_at)


def token_state(expires_at, revoked_at):
    """Return the state of a token with these times."""
    if revoked_at:
        return "revoked"
    return "expired" if expires_at and expires_at <= timezone.now() else "active"


#: Asked on every request.
CALLER_FIELDS = ("scopes", "expires_at", "revoked_at", "user_id", "user__username", "user__is_active")
FIND_CALLER = Prepared(lambda: ApiToken.objects.filter(**slots(ApiToken, "digest")).values_list(*CALLER_FIELDS))

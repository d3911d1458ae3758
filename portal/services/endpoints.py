"""Endpoints: the one that the environment names, who hears what, and where what is sent to each goes."""

from django.conf import settings
from django.db.models import OuterRef, Q, Subquery

from portal.exceptions import EndpointDisabled, StatusConflict
from portal.models import Endpoint
from portal.runner.base import Target
from portal.runner.signature import read_keys
from portal.services.endpoint_secrets import live_secrets
from portal.services.transactions import write_transaction
from portal.services.transitions import advance


def note_environment():
    """Have a row for the endpoint that PORTAL_RUNNER_ENDPOINT names; a new URL enables it again.

    Its secret is in no row. A first one begins with the first event there is: it hears every event.
    """
    url = settings.PORTAL_RUNNER_ENDPOINT
    if not url:
        return
    with write_transaction():
        made = Endpoint(pk=Endpoint.ENVIRONMENT_ID, url=url)
        Endpoint.objects.bulk_create([made], ignore_conflicts=True)
        if Endpoint.objects.filter(pk=made.pk).exclude(url=url).update(url=url):
            endpoint = Endpoint.objects.get(pk=made.pk)
            if endpoint.status == Endpoint.Status.DISABLED:
                advance(endpoint, Endpoint.Status.ENABLED)


def active_endpoints():
    """Return the endpoints that events are sent to now."""
    return known_endpoints().enabled()


def known_endpoints():
    """Return all endpoints; while the environment names none, that of the environment is not one of them."""
    rows = Endpoint.objects.all()
    return rows if settings.PORTAL_RUNNER_ENDPOINT else rows.exclude(pk=Endpoint.ENVIRONMENT_ID)


def is_known(endpoint):
    """Whether `known_endpoints` has an endpoint: for statements that are made once, whatever the environment names."""
    return bool(settings.PORTAL_RUNNER_ENDPOINT) or endpoint.pk != Endpoint.ENVIRONMENT_ID


def not_handed(events):
    """Return the condition on an endpoint that some of `events` are for it and were not handed to it yet.

    By the newest of them, which an index has at its end. Asked whether there is one beyond its number, PostgreSQL takes
    a third to be so and looks from the beginning of the table; where there is none, through all of it.
    """
    newest = events.filter(seq__isnull=False).order_by("-seq").values("seq")
    its_own = newest.filter(owner=OuterRef("owner"))[:1]
    return Q(owner=None, last_seq__lt=Subquery(newest[:1])) | Q(last_seq__lt=Subquery(its_own))


def hearers_of(event):
    """Return the active endpoints that are told of `event`, held to the end of the transaction.

    None at all when there is no endpoint for it; raises EndpointDisabled when all that there are are DISABLED.
    """
    rows = known_endpoints().filter(Q(owner=None) | Q(owner=event.owner_id)).order_by("pk").select_for_update()
    hearers = [endpoint for endpoint in rows if hears(endpoint, event.event_type)]
    enabled = [endpoint for endpoint in hearers if endpoint.status == Endpoint.Status.ENABLED]
    if hearers and not enabled:
        raise EndpointDisabled
    return enabled


def hears(endpoint, event_type):
    """Whether an endpoint is told of events of this type."""
    return not endpoint.event_types or event_type in endpoint.event_types


def target_of(endpoint):
    """Return where messages to `endpoint` go, with the keys that sign them and the networks that are open to it.

    The one of the environment is trusted as it stands.
    """
    if endpoint.owner_id is None:
        return Target(settings.PORTAL_RUNNER_ENDPOINT, read_keys(settings.PORTAL_RUNNER_SECRET))
    keys = read_keys(live_secrets(endpoint))
    return Target(endpoint.url, keys, guarded=True, allowed=tuple(settings.PORTAL_ENDPOINT_ALLOW_NETWORKS))


def enable_endpoint(endpoint):
    """Send again to an endpoint that is DISABLED; what has waited for it is due. Raises StatusConflict otherwise."""
    with write_transaction():
        advance(endpoint, Endpoint.Status.ENABLED)


def disable_endpoint(endpoint):
    """Send nothing more to an endpoint; nothing happens to one that is DISABLED already."""
    try:
        with write_transaction():
            advance(endpoint, Endpoint.Status.DISABLED)
    except StatusConflict:
        pass  # another answer of 410 was faster

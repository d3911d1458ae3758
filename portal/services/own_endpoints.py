"""Endpoints of owners: make, list, enable, delete. What they may be called at is asked here and at each call again."""

from contextlib import suppress
from urllib.parse import urlsplit

from django.conf import settings

from portal import access
from portal.exceptions import Invalid, StatusConflict, TooManyEndpoints
from portal.models import Delivery, Endpoint, EventCounter
from portal.runner.addresses import find_addresses, is_endpoint_url, may_be_called
from portal.services.endpoints import disable_endpoint, enable_endpoint
from portal.services.pages import read_page
from portal.services.transactions import write_transaction
from portal.services.transitions import remove_rows

#: Endpoints of one owner: each event is sent to every one of them.
MAX_ENDPOINTS = 20
#: How long a name is looked up before the call that names it is answered; each delivery looks again.
LOOK_UP_SECONDS = 2.0
#: Deliveries deleted in one transaction.
BLOCK = 1000


def create_endpoint(caller, url, *, event_types=(), keep=None):
    """Make an endpoint of the caller's, which hears the events from now on; `keep(endpoint)` runs in the transaction.

    Raises Invalid for a URL that may not be called, TooManyEndpoints.
    """
    _refuse_url(url)
    endpoint = Endpoint(owner=caller.user, url=url, event_types=sorted(set(event_types)))
    with write_transaction():
        # The table is small and nobody gains by one more: two at once may both be the last.
        if access.endpoints_of(caller).count() >= MAX_ENDPOINTS:
            raise TooManyEndpoints
        counter = EventCounter.objects.first()
        endpoint.last_seq = counter.last_seq if counter else 0
        endpoint.save(force_insert=True)
        if keep:
            keep(endpoint)
    return endpoint


def list_endpoints(caller, fields, **page):
    """Return a Page of the caller's endpoints, newest first."""
    return read_page(access.endpoints_of(caller), fields, newest_first=True, **page)


def enable_again(endpoint):
    """Send to an endpoint of an owner's again, also what has waited; nothing happens to one that is ENABLED."""
    with suppress(StatusConflict):
        enable_endpoint(endpoint)


def delete_endpoint(endpoint):
    """Delete an endpoint with its deliveries; one that is under way may still arrive."""
    while row := Endpoint.objects.filter(pk=endpoint.pk).first():
        disable_endpoint(row)  # nothing more is handed to it
        while _delete_deliveries(row):
            pass
        # Somebody may have enabled it again just now: then once more.
        with suppress(StatusConflict), write_transaction():
            remove_rows([row])


def _delete_deliveries(endpoint):
    with write_transaction():
        # In the order in which outcomes are recorded, so that neither waits for the other.
        rows = Delivery.objects.filter(endpoint=endpoint).order_by("pk").select_for_update()
        chosen = list(rows.values_list("pk", flat=True)[:BLOCK])
        Delivery.objects.filter(pk__in=chosen).delete()
    return len(chosen)


def _refuse_url(url):
    if not is_endpoint_url(url):
        raise _refused("invalid", "Must be like https://receiver.example.org/hook, without a user or a fragment.")
    parts = urlsplit(url)
    allowed = settings.PORTAL_ENDPOINT_ALLOW_NETWORKS
    addresses = find_addresses(parts.hostname, LOOK_UP_SECONDS)
    if not all(may_be_called(address, allowed) for address in addresses):
        raise _refused("address_refused", "The address is private, local or reserved.")


def _refused(code, detail):
    return Invalid("Some fields are not valid.", errors=[{"field": "url", "code": code, "detail": detail}])

"""ALLOWED_HOSTS for every path of this door; Django itself asks only where it builds a URL."""

import ipaddress

from django.http.request import split_domain_port

#: Asked by address, by whoever watches the portal.
HEALTH_PATHS = ("/healthz", "/readyz")
METRICS_PATH = "/metrics"
#: Behind a proxy on the same machine every client has a loopback address; a proxy hands on the name that was asked for.
OWN_NAMES = {"localhost", "127.0.0.1", "[::1]"}


def is_local(request):
    """Whether the request was made on this machine, to this machine by such a name, and past every proxy."""
    # Not get_host(): these names need not be among ALLOWED_HOSTS.
    name = split_domain_port(request.META.get("HTTP_HOST", ""))[0]
    if request.META.get("portal.forwarded") or name not in OWN_NAMES:
        return False
    try:
        return ipaddress.ip_address(request.META["REMOTE_ADDR"]).is_loopback
    except ValueError:
        return False


class HostMiddleware:
    """Refuses a request for a host that is not ours (400 `invalid_host`), before anything else looks at it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        """Raise DisallowedHost or pass the request on."""
        asked_by_address = request.path in HEALTH_PATHS or (request.path == METRICS_PATH and is_local(request))
        if not asked_by_address:
            request.get_host()
        return self.get_response(request)

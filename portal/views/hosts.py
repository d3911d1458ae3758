"""ALLOWED_HOSTS for every path of this door; Django itself asks only where it builds a URL."""

#: Asked by address, by whoever watches the portal.
HEALTH_PATHS = ("/healthz", "/readyz")


class HostMiddleware:
    """Refuses a request for a host that is not ours (400 `invalid_host`), before anything else looks at it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        """Raise DisallowedHost or pass the request on."""
        if request.path not in HEALTH_PATHS:
            request.get_host()
        return self.get_response(request)

"""Django's own host check and middleware, asked by the byte door: who may pass, and the headers of every answer."""

from functools import cache

from django.conf import settings
from django.http import HttpResponse
from django.utils.module_loading import import_string

#: Those of the configured middleware whose headers belong on every answer, whatever door gives it.
HEADER_MIDDLEWARE = (
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)


@cache
def _middleware():
    return [import_string(path)(_no_view) for path in settings.MIDDLEWARE if path in HEADER_MIDDLEWARE]


def _no_view(request):
    raise NotImplementedError("the byte door has no view behind its middleware")


#: The scheme → the headers: nothing else of a request tells in them, and they take time to make.
_made: dict[str, dict[bytes, bytes]] = {}


def common_headers(exchange):
    """Return the security headers as they go out, names in lower case, as Django would put them on an empty answer."""
    scheme = exchange.scope["scheme"]
    if scheme not in _made:
        _made[scheme] = _make_headers(exchange.request)
    return _made[scheme]


def _make_headers(request):
    response = HttpResponse()
    del response["Content-Type"]
    for middleware in reversed(_middleware()):
        response = middleware.process_response(request, response)
    return {name.lower().encode(): value.encode("latin-1") for name, value in response.items()}


#: The fronts (Host headers, scheme, address of the server) that let a request pass whatever its path; so many at most.
_passed: set[tuple] = set()
FRONTS = 256


def find_redirect(exchange):
    """Return where the configured SecurityMiddleware sends this request (to https), or None.

    Raises DisallowedHost unless the Host header is in ALLOWED_HOSTS.
    """
    front = tuple(exchange.values(b"host")), exchange.scope["scheme"], exchange.scope.get("server")
    if front in _passed:
        return None
    request = exchange.request
    request.get_host()
    for middleware in _middleware():
        response = middleware.process_request(request) if hasattr(middleware, "process_request") else None
        if response is not None:
            return response["Location"]
    # Where http is sent to https, some paths are not, which says nothing of others.
    if len(_passed) < FRONTS and (request.is_secure() or not settings.SECURE_SSL_REDIRECT):
        _passed.add(front)
    return None

"""Django's own middleware, asked by the byte door for its host check and for the headers of every answer."""

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


#: Whether the request came over https → the headers: nothing else of it tells in them, and they take time to make.
_made: dict[bool, dict[bytes, bytes]] = {}


def common_headers(request):
    """Return the security headers as they go out, names in lower case, as Django would put them on an empty answer."""
    secure = request.is_secure()
    if secure not in _made:
        _made[secure] = _make_headers(request)
    return _made[secure]


def _make_headers(request):
    response = HttpResponse()
    del response["Content-Type"]
    for middleware in reversed(_middleware()):
        response = middleware.process_response(request, response)
    return {name.lower().encode(): value.encode("latin-1") for name, value in response.items()}


def check_host(request):
    """Raise DisallowedHost unless the Host header is in ALLOWED_HOSTS."""
    request.get_host()


def find_redirect(request):
    """Return where the configured SecurityMiddleware sends this request (to https), or None."""
    for middleware in _middleware():
        response = middleware.process_request(request) if hasattr(middleware, "process_request") else None
        if response is not None:
            return response["Location"]
    return None

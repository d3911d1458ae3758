"""Who asks at the byte door: a bearer token, or a browser session with CSRF, as at Django's door."""

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from portal.access import session_caller
from portal.exceptions import CsrfFailed, NotAuthenticated
from portal.services.tokens import authenticate_token, read_bearer


class CsrfCheck(CsrfViewMiddleware):
    """Django's CSRF check, that tells its reason instead of rendering a page."""

    def _reject(self, request, reason):
        return reason


def _no_view(request):
    raise NotImplementedError("the byte door has no view behind its middleware")


def identify(exchange):
    """Return the Caller of the request; raises NotAuthenticated or CsrfFailed. Asks the database.

    Leaves the headers that go with a session (its cookie, `Vary`) on the exchange.
    """
    caller, by_session = _find_caller(exchange)
    if by_session:
        check_csrf(exchange.request)
    return caller


def require_known(exchange):
    """Raise NotAuthenticated unless a token or a session tells who asks; what they may do is asked later."""
    _find_caller(exchange)
    # Django's own answer brings these.
    exchange.identity_headers = []


def _find_caller(exchange):
    """Return the Caller, and whether a browser's session told it."""
    header = exchange.text(b"authorization")
    if header:
        return authenticate_token(read_bearer(header)), False
    request = exchange.request
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        exchange.identity_headers = [("Vary", "Cookie")]
        raise NotAuthenticated
    sessions = SessionMiddleware(_no_view)
    sessions.process_request(request)
    user = get_user(request)
    exchange.identity_headers = _session_headers(sessions, request)
    if not user.is_authenticated or not user.is_active:
        raise NotAuthenticated
    return session_caller(user), True


def check_csrf(request):
    """Raise CsrfFailed unless the request is safe by its method or carries the CSRF token of its cookie."""
    check = CsrfCheck(_no_view)
    check.process_request(request)
    if check.process_view(request, None, (), {}):
        raise CsrfFailed("CSRF: send the csrftoken cookie's value as X-CSRFToken.")


def _session_headers(sessions, request):
    # get_user() may have given the session a new key (SECRET_KEY_FALLBACKS): saved, and told to the browser, here.
    response = HttpResponse()
    del response["Content-Type"]
    response = sessions.process_response(request, response)
    return [*response.items(), *(("Set-Cookie", c.OutputString()) for c in response.cookies.values())]

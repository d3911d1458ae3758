"""Who asks: a bearer token, or a browser session with CSRF; and whether its scopes allow the method."""

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission

from portal.access import session_caller
from portal.exceptions import CsrfFailed, NotAuthenticated
from portal.problems import CHALLENGE
from portal.services.tokens import authenticate_token, read_bearer

#: What django-axes keeps of a name; no user has one that is longer.
MAX_LOGIN_NAME = 255


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; `request.user` is the Caller."""

    def authenticate(self, request):
        """Return the Caller, or None when the request carries no token."""
        header = request.META.get("HTTP_AUTHORIZATION")
        return (authenticate_token(read_bearer(header)), None) if header else None

    def authenticate_header(self, request):
        """Return the challenge that makes a refusal a 401."""
        return CHALLENGE


class BrowserAuthentication(SessionAuthentication):
    """The session of a logged-in browser; a request that changes something needs the CSRF token."""

    def authenticate(self, request):
        """Return the Caller, or None when nobody is logged in."""
        try:
            found = super().authenticate(request)
        except PermissionDenied as error:
            raise CsrfFailed("CSRF: send the csrftoken cookie's value as X-CSRFToken.") from error
        return found and (session_caller(found[0]), None)


class HasScope(BasePermission):
    """Refuses anonymous callers, and those without one of the view's `scopes[method]`."""

    def has_permission(self, request, view):
        """Raise NotAuthenticated or InsufficientScope; a method that the view lacks is answered 405 elsewhere."""
        if request.user is None:
            raise NotAuthenticated
        method = "GET" if request.method == "HEAD" else request.method
        if method in view.scopes:
            request.user.require(*view.scopes[method])
        return True


def login_name(request, credentials=None):
    """Return the name that somebody tries to log in with, as far as django-axes can keep it."""
    name = (credentials or request.POST).get("username")
    return name and name[:MAX_LOGIN_NAME]

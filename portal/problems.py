"""Turn an error into an answer of RFC 9457 (application/problem+json): the table from kind to status."""

import logging
from http import HTTPStatus

import orjson
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, InterfaceError, OperationalError

from portal import exceptions

logger = logging.getLogger("portal.errors")

#: What WWW-Authenticate says beside a 401.
CHALLENGE = "Bearer"

STATUS_OF_KIND = {
    exceptions.Invalid: 400,
    exceptions.NotAuthenticated: 401,
    exceptions.Forbidden: 403,
    exceptions.NotFound: 404,
    exceptions.TooSlow: 408,
    exceptions.Conflict: 409,
    exceptions.LengthMissing: 411,
    exceptions.TooLarge: 413,
    exceptions.BadRange: 416,
    exceptions.Unprocessable: 422,
    exceptions.TooMany: 429,
    exceptions.Unavailable: 503,
    exceptions.OutOfSpace: 507,
}


def status_of(error):
    """Return the HTTP status of the kind that `error` belongs to."""
    return next((status for kind, status in STATUS_OF_KIND.items() if isinstance(error, kind)), 500)


def as_portal_error(error):
    """Return `error` as one of ours, or None when it is a fault that nobody named."""
    if isinstance(error, exceptions.PortalError):
        return error
    # SQLite names no kind for a file that it cannot make sense of, as one is whose disk has just failed.
    if isinstance(error, (OperationalError, InterfaceError)) or type(error) is DatabaseError:
        logger.warning("database does not answer: %s", error)
        return exceptions.DatabaseUnavailable()
    if isinstance(error, DisallowedHost):
        invalid = exceptions.Invalid("The Host header names no host of this portal (ALLOWED_HOSTS).")
        invalid.code = "invalid_host"
        return invalid
    return None


def problem_body(status, code, detail, extra=None):
    """Return the members of a problem: `type` is about:blank, so `title` is the status's own phrase."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **(extra or {}),
    }


def problem_headers(status, retry_after=None):
    """Return the headers that go with a problem of `status`; `retry_after` is in seconds."""
    headers = {"Content-Type": "application/problem+json"}
    if status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return headers


def describe_problem(error):
    """Return `(status, headers, members)` of `error`; one that nobody named is logged and becomes a 500."""
    known = as_portal_error(error)
    if known is None:
        logger.error("unexpected error", exc_info=error)
        detail = "Something went wrong here; the request id finds it in the log."
        return 500, problem_headers(500), problem_body(500, "internal_error", detail)
    status = status_of(known)
    members = problem_body(status, known.code, known.detail, known.extra)
    return status, problem_headers(status, known.retry_after), members


def render_problem(error):
    """Return `(status, headers, body)` of `error`, the body as JSON bytes."""
    status, headers, members = describe_problem(error)
    return status, headers, orjson.dumps(members)

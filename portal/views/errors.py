"""The one exit for errors of the JSON door: every one becomes application/problem+json."""

import sys

import orjson
from axes.helpers import get_cool_off
from django.http import Http404, HttpResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from portal.exceptions import CsrfFailed, Forbidden, Invalid, NotAuthenticated, NotFound, TooMany
from portal.problems import as_portal_error, describe_problem, problem_body, problem_headers, render_problem
from portal.views.formats import FastJSONRenderer

#: DRF's own refusals that have no kind of ours: the slug for each status.
CODES = {403: "forbidden", 404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}


def handle_exception(error, context):
    """Return the Response for `error`, or None to let Django log it and answer 500 (`server_error` below)."""
    # A view that renders pages answers with a problem too, not with its page.
    context["request"].accepted_renderer = FastJSONRenderer()
    context["request"].accepted_media_type = FastJSONRenderer.media_type
    ours = _translate(error)
    if as_portal_error(ours) is not None:
        status, headers, members = describe_problem(ours)
        return _response(status, headers, members)
    if isinstance(ours, drf.APIException):
        status = ours.status_code
        headers = problem_headers(status, getattr(ours, "wait", None))
        if isinstance(ours, drf.MethodNotAllowed):
            headers["Allow"] = context["view"].default_response_headers["Allow"]
        return _response(status, headers, problem_body(status, CODES.get(status, "error"), str(ours.detail)))
    return None


def _response(status, headers, members):
    response = Response(members, status=status, content_type=headers.pop("Content-Type"))
    for name, value in headers.items():
        response[name] = value
    return response


def _translate(error):
    if isinstance(error, drf.ValidationError):
        return Invalid("Some fields are not valid.", errors=list(_field_errors(error.get_full_details())))
    if isinstance(error, drf.ParseError):
        return Invalid(str(error.detail))
    if isinstance(error, (drf.NotAuthenticated, drf.AuthenticationFailed)):
        return NotAuthenticated()
    if isinstance(error, drf.UnsupportedMediaType):
        # DRF's own words repeat what was sent.
        error.detail = "The Content-Type is not one that is read here."
    if isinstance(error, Http404):
        return NotFound()
    return error


def _field_errors(details, field=""):
    """Yield {"field", "code", "detail"} from DRF's nested details."""
    if isinstance(details, list):
        for item in details:
            yield from _field_errors(item, field)
    elif "message" in details and "code" in details and not isinstance(details["message"], (dict, list)):
        yield {"field": field, "code": details["code"], "detail": str(details["message"])}
    else:
        for name, inner in details.items():
            inner_field = "" if name == "non_field_errors" else str(name)
            yield from _field_errors(inner, ".".join(filter(None, (field, inner_field))))


def _plain(error):
    status, headers, body = render_problem(error)
    return HttpResponse(body, status=status, headers=headers)


def not_found(request, exception=None):
    """Django's 404 for a path that no route knows."""
    return _plain(NotFound("No such endpoint."))


def bad_request(request, exception=None):
    """Django's 400 for what it refuses before any view, such as an unknown host."""
    known = as_portal_error(exception)
    return _plain(known or Invalid())


def permission_denied(request, exception=None):
    """Django's 403 outside the API, such as in the admin."""
    return _plain(Forbidden())


def csrf_failure(request, reason=""):
    """Django's 403 for a form without its CSRF token."""
    return _plain(CsrfFailed("CSRF: load the page again and send its form."))


def server_error(request):
    """Django's 500, outside of the API's views: 503 when the database is what failed; the log has the reason."""
    known = as_portal_error(sys.exception())
    if known is not None:
        return _plain(known)
    status, detail = 500, "Something went wrong here; the request id finds it in the log."
    body = orjson.dumps(problem_body(status, "internal_error", detail))
    return HttpResponse(body, status=status, headers=problem_headers(status))


def locked_out(request, response=None, credentials=None, **_):
    """Answer a login that failed too often (django-axes): 429, with the time after which it is worth another try."""
    error = TooMany("Too many failed logins; wait before the next try.")
    error.retry_after = int(get_cool_off().total_seconds())
    return _plain(error)

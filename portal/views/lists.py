"""What all lists share: reading `limit`, `cursor` and filters, and the envelope with the neighbours' URLs."""

import re
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from rest_framework import serializers
from rest_framework.response import Response

from portal.exceptions import Invalid
from portal.services.pages import DEFAULT_LIMIT, MAX_LIMIT


class LimitField(serializers.IntegerField):
    """A whole number in ASCII digits: Python takes 1_0, and those of other scripts."""

    def to_internal_value(self, data):
        if not re.fullmatch("-?[0-9]+", str(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class PageQuery(serializers.Serializer):
    """The query of every list."""

    limit = LimitField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)
    # A path of 1,024 quotation marks is doubled by JSON, then grows by a third in base64.
    cursor = serializers.CharField(max_length=4096, required=False)


def read_query(request, serializer_class):
    """Return the checked query values of a list; raises DRF's ValidationError (400 `invalid`)."""
    # As a plain dict: of a form's QueryDict, DRF takes an empty value for one that was not sent.
    serializer = serializer_class(data=request.query_params.dict())
    _refuse_broken_text(request, serializer.fields)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _refuse_broken_text(request, fields):
    """Raise Invalid for a value of these that is no UTF-8: Django reads U+FFFD, which a path may hold, in its place."""
    for name, value in parse_qsl(request.META["QUERY_STRING"], encoding="latin-1"):
        try:
            value.encode("latin-1").decode()
        except UnicodeDecodeError as error:
            if name in fields:
                fault = {"field": name, "code": "invalid", "detail": "Not valid UTF-8."}
                raise Invalid("Some fields are not valid.", errors=[fault]) from error


def absolute_url(request, path):
    """Return the public URL of `path`: PORTAL_PUBLIC_URL where it is set, else the host that was asked."""
    base = settings.PORTAL_PUBLIC_URL
    return f"{base}{path}" if base else request.build_absolute_uri(path)


def page_response(request, page, render):
    """Return `{"next", "previous", "results"}` of a Page; `render` turns a row into its members."""

    def url(cursor):
        if cursor is None:
            return None
        query = request.query_params.copy()
        query["cursor"] = cursor
        return absolute_url(request, f"{request.path}?{urlencode(list(query.items()))}")

    members = {"next": url(page.next), "previous": url(page.previous)}
    return Response(members | {"results": [render(row) for row in page.rows]})

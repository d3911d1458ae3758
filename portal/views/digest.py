"""Content-Digest (RFC 9530): refuse a body that does not have the digest that was sent with it."""

import hashlib

from django.http import HttpResponse

from portal.content_digest import read_sha256
from portal.exceptions import DigestMismatch, Invalid
from portal.problems import render_problem


class ContentDigestMiddleware:
    """Compares the whole body, which is small at this door, before any view sees it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        """Answer 400 `digest_mismatch` or pass the request on."""
        header = request.META.get("HTTP_CONTENT_DIGEST")
        if header:
            try:
                expected = read_sha256(header)
                if expected and hashlib.sha256(request.body).digest() != expected:
                    raise DigestMismatch
            except (Invalid, DigestMismatch) as error:
                status, headers, body = render_problem(error)
                return HttpResponse(body, status=status, headers=headers)
        return self.get_response(request)

"""Content-Digest (RFC 9530): refuse a body that does not have the digest that was sent with it."""

import base64
import binascii
import hashlib
import re

from django.http import HttpResponse

from portal.exceptions import DigestMismatch, Invalid
from portal.problems import render_problem

_SHA256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*(:?)([^,:;\s]*)(:?)", re.IGNORECASE)


def expected_sha256(header):
    """Return the 32 bytes of the header's sha-256 member, or None when it has none; raises Invalid if malformed."""
    found = _SHA256.search(header or "")
    if not found:
        return None
    try:
        digest = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32 or not (found[1] and found[3]):
        raise Invalid("Content-Digest: write sha-256=:<base64 of 32 bytes>: (RFC 9530).")
    return digest


class ContentDigestMiddleware:
    """Compares the whole body, which is small at this door, before any view sees it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        """Answer 400 `digest_mismatch` or pass the request on."""
        header = request.META.get("HTTP_CONTENT_DIGEST")
        if header:
            try:
                expected = expected_sha256(header)
                if expected and hashlib.sha256(request.body).digest() != expected:
                    raise DigestMismatch
            except (Invalid, DigestMismatch) as error:
                status, headers, body = render_problem(error)
                return HttpResponse(body, status=status, headers=headers)
        return self.get_response(request)

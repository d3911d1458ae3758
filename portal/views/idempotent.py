"""Idempotency-Key at the JSON door: the same POST again gets the first answer's body."""

from types import MappingProxyType

from rest_framework.response import Response

from portal.services import idempotency


def claimed_key(request, data):
    """A context manager: the claim of the request's key, or None when it carries none; a failure gives the key back.

    `data` is the parsed body; the key may stand in the header or in its field `idempotency_key`.
    """
    key = idempotency.read_key(request.META.get("HTTP_IDEMPOTENCY_KEY"), data.get("idempotency_key"))
    body = {name: value for name, value in data.items() if name != "idempotency_key"}
    fingerprint = idempotency.make_fingerprint(request.method, request.path, body)
    return idempotency.claimed_key(request.user, key, fingerprint)


def replay(claim, headers=MappingProxyType({})):
    """Return the first answer again: 200 with Idempotent-Replayed, and what `headers` the answer has besides."""
    return Response(claim.answer, headers={"Idempotent-Replayed": "true", **headers})

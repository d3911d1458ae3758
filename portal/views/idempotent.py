"""Idempotency-Key at the JSON door: the same POST again gets the first answer's body."""

import hashlib
from contextlib import contextmanager

import orjson
from rest_framework.response import Response

from portal.exceptions import Invalid
from portal.services.idempotency import claim_key

MAX_KEY_LENGTH = 255


@contextmanager
def claimed_key(request, data):
    """Yield the claim of the request's key, or None when it carries none; a failure inside gives the key back.

    `data` is the parsed body; the key may stand in the header or in its field `idempotency_key`.
    """
    key = _key_of(request, data)
    if key is None:
        yield None
        return
    claim = claim_key(request.user, key, _fingerprint(request, data))
    try:
        yield claim
    except BaseException:
        if claim.answer is None:
            claim.release()
        raise


def replay(claim):
    """Return the first answer again: 200 with Idempotent-Replayed."""
    return Response(claim.answer, headers={"Idempotent-Replayed": "true"})


def _key_of(request, data):
    sent = {request.META.get("HTTP_IDEMPOTENCY_KEY"), data.get("idempotency_key")} - {None}
    if len(sent) > 1:
        raise Invalid("Idempotency-Key and idempotency_key differ.")
    for key in sent:
        if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isprintable():
            raise Invalid(f"An idempotency key has 1 to {MAX_KEY_LENGTH} printable characters.")
        return key
    return None


def _fingerprint(request, data):
    body = {name: value for name, value in data.items() if name != "idempotency_key"}
    text = orjson.dumps([request.method, request.path, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()

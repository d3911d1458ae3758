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
    header, field = request.META.get("HTTP_IDEMPOTENCY_KEY"), data.get("idempotency_key")
    for key in (header, field):
        if key is not None and not _is_key(key):
            raise _refused("invalid", f"An idempotency key has 1 to {MAX_KEY_LENGTH} printable characters.")
    if header is not None and field is not None and header != field:
        raise _refused("differs", "Idempotency-Key and idempotency_key differ.")
    return header if field is None else field


def _is_key(value):
    return isinstance(value, str) and 1 <= len(value) <= MAX_KEY_LENGTH and value.isprintable()


def _refused(code, detail):
    return Invalid(detail, errors=[{"field": "idempotency_key", "code": code, "detail": detail}])


def _fingerprint(request, data):
    body = {name: value for name, value in data.items() if name != "idempotency_key"}
    text = orjson.dumps([request.method, request.path, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()

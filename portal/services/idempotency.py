"""Idempotency keys: the same POST sent twice makes one object, and gets the same answer."""

import hashlib
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from uuid import uuid4

import orjson
from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone

from portal.exceptions import IdempotencyInProgress, IdempotencyKeyReused, Invalid, StatusConflict
from portal.models import IdempotencyKey
from portal.services.transactions import write_transaction
from portal.services.transitions import advance

#: A claim that a crash left behind runs out after this.
LEASE = timedelta(seconds=60)
MAX_KEY_LENGTH = 255


class KeyClaim:
    """Our right to carry out the request of one key; `answer` is set when it was carried out before."""

    def __init__(self, row, answer=None):
        self.row, self.answer = row, answer

    def keep(self, answer):
        """Keep `answer` (JSON members) for the next time; inside the transaction that makes the object.

        Raises IdempotencyInProgress, and so rolls back, when the claim ran out and another request has it. May be
        called again after a transaction that was rolled back.
        """
        # As text too: PostgreSQL keeps the members of an object in an order of its own.
        text = orjson.dumps(answer, option=orjson.OPT_UTC_Z).decode()
        kept = {"answer": orjson.loads(text), "answer_text": text}
        try:
            advance(copy(self.row), IdempotencyKey.Status.ANSWERED, where=_held_by(self.row.claim_token), **kept)
        except StatusConflict as error:
            raise IdempotencyInProgress from error

    def release(self):
        """Give the key back after a failure: only answers of success are kept."""
        with write_transaction():
            IdempotencyKey.objects.filter(
                **_held_by(self.row.claim_token), pk=self.row.pk, status=IdempotencyKey.Status.CLAIMED
            ).delete()


def read_key(*given):
    """Return the one key that is `given`, however often, or None; raises Invalid for no key's text, or for two keys."""
    keys = [key for key in given if key is not None]
    for key in keys:
        if not (isinstance(key, str) and 1 <= len(key) <= MAX_KEY_LENGTH and key.isprintable()):
            raise _refused("invalid", f"An idempotency key has 1 to {MAX_KEY_LENGTH} printable characters.")
    if len(set(keys)) > 1:
        raise _refused("differs", "Idempotency-Key and idempotency_key differ.")
    return keys[0] if keys else None


def make_fingerprint(method, path, members):
    """Return what "the same request" means, of a request whose body says `members` (JSON)."""
    return hashlib.sha256(orjson.dumps([method, path, members], option=orjson.OPT_SORT_KEYS)).hexdigest()


@contextmanager
def claimed_key(caller, key, fingerprint):
    """Yield the claim of `key`, or None when it is None; a failure inside gives the key back."""
    if key is None:
        yield None
        return
    claim = claim_key(caller, key, fingerprint)
    try:
        yield claim
    except BaseException:
        if claim.answer is None:
            claim.release()
        raise


def claim_key(caller, key, fingerprint):
    """Claim `key` for the request of `fingerprint`, or return the claim with the answer that was given before.

    Raises IdempotencyKeyReused for another request's key, IdempotencyInProgress while the first one runs.
    """
    row = IdempotencyKey(
        owner=caller.user,
        key=key,
        fingerprint=fingerprint,
        claim_token=uuid4(),
        lease_until=timezone.now() + LEASE,
    )
    try:
        with write_transaction():
            row.save(force_insert=True)
        return KeyClaim(row)
    except IntegrityError:
        return _claim_known(IdempotencyKey.objects.owned_by(caller.user).filter(key=key).first(), fingerprint)


def _claim_known(row, fingerprint):
    """Answer from a key that is there already, or take over a claim that ran out."""
    if row is None:
        raise IdempotencyInProgress  # given back this very moment: the next try finds it free
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    if row.status == IdempotencyKey.Status.ANSWERED:
        return KeyClaim(row, orjson.loads(row.answer_text) if row.answer_text else row.answer)
    seen, row.claim_token = row.claim_token, uuid4()
    ran_out = IdempotencyKey.objects.filter(
        **_held_by(seen), pk=row.pk, status=IdempotencyKey.Status.CLAIMED, lease_until__lte=Now()
    )
    with write_transaction():
        # Its age begins anew: the answer that is to come is kept as long as any other.
        if not ran_out.update(claim_token=row.claim_token, lease_until=Now() + LEASE, created_at=Now()):
            raise IdempotencyInProgress
    return KeyClaim(row)


def _refused(code, detail):
    return Invalid(detail, errors=[{"field": "idempotency_key", "code": code, "detail": detail}])


def _held_by(token):
    return {"claim_token": token}

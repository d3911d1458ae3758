"""Idempotency keys: the same POST sent twice makes one object, and gets the same answer."""

from datetime import timedelta
from uuid import uuid4

import orjson
from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from portal.exceptions import IdempotencyInProgress, IdempotencyKeyReused, StatusConflict
from portal.models import IdempotencyKey
from portal.services.transactions import write_transaction
from portal.services.transitions import advance

#: A claim that a crash left behind runs out after this.
LEASE = timedelta(seconds=60)


class KeyClaim:
    """Our right to carry out the request of one key; `answer` is set when it was carried out before."""

    def __init__(self, row, answer=None):
        self.row, self.answer = row, answer

    def keep(self, answer):
        """Keep `answer` (JSON members) for the next time; inside the transaction that makes the object.

        Raises IdempotencyInProgress, and so rolls back, when the claim ran out and another request has it.
        """
        kept = orjson.loads(orjson.dumps(answer, option=orjson.OPT_UTC_Z))
        try:
            advance(self.row, IdempotencyKey.Status.ANSWERED, where=_held_by(self.row.claim_token), answer=kept)
        except StatusConflict as error:
            raise IdempotencyInProgress from error

    def release(self):
        """Give the key back after a failure: only answers of success are kept."""
        with write_transaction():
            IdempotencyKey.objects.filter(
                _held_by(self.row.claim_token), pk=self.row.pk, status=IdempotencyKey.Status.CLAIMED
            ).delete()


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
        return KeyClaim(row, row.answer)
    seen, row.claim_token = row.claim_token, uuid4()
    ran_out = IdempotencyKey.objects.filter(
        _held_by(seen), pk=row.pk, status=IdempotencyKey.Status.CLAIMED, lease_until__lte=Now()
    )
    with write_transaction():
        # Its age begins anew: the answer that is to come is kept as long as any other.
        if not ran_out.update(claim_token=row.claim_token, lease_until=Now() + LEASE, created_at=Now()):
            raise IdempotencyInProgress
    return KeyClaim(row)


def _held_by(token):
    return Q(claim_token=token)

"""The claim on a finalize: who works on it, until when, by the database's clock."""

import itertools
import secrets
import time
from datetime import timedelta
from uuid import uuid4

from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils import uuid7

from portal.exceptions import StatusConflict
from portal.models import UploadSession
from portal.services.limits import session_lifetime
from portal.services.transactions import write_transaction
from portal.services.transitions import advance, update_claimed

LEASE = timedelta(seconds=60)
RENEW_AFTER_SECONDS = LEASE.total_seconds() / 3
#: To make a folder costs as much as to store a file; a folder of more names is no quicker to find one in.
KEYS_A_FOLDER = 256
#: There from the start: while one thread chooses the first, another may take the second key.
_keys, _folder = itertools.count(), secrets.token_hex(2)


class Claim:
    """Our right to finalize one session; it is lost when its lease runs out and somebody else takes it.

    Once `hurried()` is true the work on it is given back, for another worker to begin anew.
    """

    def __init__(self, session, token, *, hurried=lambda: False):
        self.session, self.token, self.hurried = session, token, hurried
        self._renew_at = time.monotonic() + RENEW_AFTER_SECONDS

    @property
    def held(self):
        """What the row must have while the claim is still ours, for the query that publishes."""
        return {"claim_token": self.token}

    def renew(self):
        """Hold the lease from now on anew; raises StatusConflict when the claim is lost."""
        with write_transaction():
            if not update_claimed(self.session, self.token, lease_until=Now() + LEASE):
                raise StatusConflict("Somebody else finalizes this session now.")
        self._renew_at = time.monotonic() + RENEW_AFTER_SECONDS

    def beat(self):
        """Renew the lease when a third of it has passed; cheap enough to be called for every block.

        Raises StatusConflict when the claim is lost, or was given back just now.
        """
        if self.hurried():
            self.leave()
            raise StatusConflict("Given back: this process stops.")
        if time.monotonic() >= self._renew_at:
            self.renew()

    def leave(self):
        """Give the claim up, for the worker to take this very moment."""
        # SQLite compares times as texts: Now() itself is not after Now(), but Now() + 0 is, for a millisecond.
        with write_transaction():
            update_claimed(self.session, self.token, lease_until=Now())

    def put_off(self, delay, *, count=True):
        """Leave the work to whoever comes after `delay`; `count` it as an attempt that failed."""
        with write_transaction():
            update_claimed(self.session, self.token, lease_until=Now() + delay, attempts=F("attempts") + int(count))


def claim_session(session):
    """Freeze the parts of an open, complete session and claim it: it is FINALIZING.

    The destination is made here and kept in the row before any byte moves, so that a crash after the rename still
    finds them. Raises StatusConflict when it changed, or parts are missing.
    """
    claim = Claim(session, uuid4())
    session.object_key = session.object_key or new_object_key()
    # Storage faults are waited out for a whole lifetime, then the file is FAILED.
    session.expires_at = timezone.now() + session_lifetime()
    with write_transaction():
        advance(
            session,
            UploadSession.Status.FINALIZING,
            # A digest may have been told since the look: the bytes must have it.
            where={"completed_parts": F("total_parts"), "declared_sha256": session.declared_sha256},
            claim_token=claim.token,
            lease_until=Now() + LEASE,
            object_key=session.object_key,
            expires_at=session.expires_at,
        )
    return claim


def take_over(session, *, hurried=lambda: False):
    """Claim a FINALIZING session whose lease has run out; return the Claim, or None when somebody was faster."""
    claim = Claim(session, uuid4(), hurried=hurried)
    with write_transaction():
        free = UploadSession.objects.claimable().filter(pk=session.pk, claim_token=session.claim_token)
        taken = free.update(claim_token=claim.token, lease_until=Now() + LEASE)
    return claim if taken else None


def new_object_key():
    """Return a fresh place for the bytes of a file: generated, never made of a name that a client sent.

    Many in a row lie in one folder, which is made once, and whose sync serves all that are stored together.
    """
    global _folder
    if next(_keys) % KEYS_A_FOLDER == 0:
        _folder = secrets.token_hex(2)
    name = uuid7().hex[: -len(_folder)] + _folder
    return f"{name[-2:]}/{name[-4:-2]}/{name}"

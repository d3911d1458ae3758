"""Claims on parts, for storages without locks: one writer of a part at a time, on any number of machines.

A claim is a row with a lease on the database's clock. A thread renews all claims of this process, so that a slow
body keeps its claim and a dead process loses it. The transaction that records the part removes the claim: a writer
that lost it meanwhile records nothing, and one that takes it over waits for that transaction to end, either way.
"""

import logging
import threading
from datetime import timedelta
from uuid import uuid4

from django.db import Error as AnyDatabaseError
from django.db import IntegrityError, connection
from django.db.models.functions import Now

from portal.exceptions import PartBusy, PortalError
from portal.models import PartClaim
from portal.services.transactions import write_transaction

logger = logging.getLogger("portal.parts")

LEASE = timedelta(seconds=30)
RENEW_SECONDS = LEASE.total_seconds() / 3
#: What dead processes leave is dropped after a while.
KEPT = timedelta(hours=24)


class Claim:
    """Our right to write some parts of one session: those of `numbers`."""

    def __init__(self, token, numbers):
        self.token, self.numbers = token, numbers

    def settle(self):
        """Remove the claim, inside the transaction that records the parts; PartBusy if others have any of them."""
        if PartClaim.objects.filter(token=self.token).delete()[0] != len(self.numbers):
            raise PartBusy("Another request has taken this part over.")

    def forget(self):
        """Renew it no more, once that transaction is committed; returns None."""
        keeper.remove(self.token)

    def release(self):
        """Give the part up; what cannot be removed now runs out."""
        keeper.remove(self.token)
        try:
            with write_transaction():
                PartClaim.objects.filter(token=self.token).delete()
        except (AnyDatabaseError, PortalError):
            connection.close()
            logger.warning("a claim on a part stays until it runs out")


def claim_parts(session_id, numbers):
    """Return the Claim on those parts of `numbers` that no other writer has, or None when it has all of them."""
    token = uuid4()
    claims = PartClaim.objects.filter(session_id=session_id, number__in=numbers)
    lease = {"token": token, "lease_until": Now() + LEASE}
    try:
        with write_transaction():
            claims.filter(lease_until__lte=Now()).update(**lease)
            new = [PartClaim(session_id=session_id, number=number, **lease) for number in numbers]
            PartClaim.objects.bulk_create(new, ignore_conflicts=True)
    except IntegrityError:
        # The session was deleted: the caller looks for it next.
        return None
    held = list(claims.filter(token=token).values_list("number", flat=True))
    if not held:
        return None
    keeper.add(token)
    return Claim(token, held)


def drop_old_claims():
    """Delete claims that ran out long ago; return how many."""
    old = PartClaim.objects.filter(lease_until__lt=Now() - KEPT)
    with write_transaction():
        return PartClaim.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:1000])).delete()[0]


class Keeper:
    """Renews the claims of this process, in a thread that lives while there are any."""

    def __init__(self):
        self._tokens, self._mutex, self._thread = set(), threading.Lock(), None

    def add(self, token):
        """Renew this claim from now on."""
        with self._mutex:
            self._tokens.add(token)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="portal-claims", daemon=True)
                self._thread.start()

    def remove(self, token):
        """Renew it no more."""
        with self._mutex:
            self._tokens.discard(token)

    def renew(self):
        """Renew all claims now."""
        with self._mutex:
            tokens = list(self._tokens)
        with write_transaction():
            PartClaim.objects.filter(token__in=tokens).update(lease_until=Now() + LEASE)

    def _run(self):
        pause = threading.Event()
        while True:
            pause.wait(RENEW_SECONDS)
            with self._mutex:
                if not self._tokens:
                    self._thread = None
                    return
            try:
                self.renew()
            except (AnyDatabaseError, PortalError) as error:
                logger.warning("claims on parts are not renewed: %s", error)
            finally:
                connection.close()


#: The one of this process.
keeper = Keeper()

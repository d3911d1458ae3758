"""Claims on parts, for storages without locks: one writer of a part at a time, on any number of machines.

A claim is a row with a lease on the database's clock. A thread renews all claims of this process, so that a slow
body keeps its claim and a dead process loses it. The transaction that records the part removes the claim: a writer
that lost it meanwhile records nothing, and one that takes it over waits for that transaction to end, either way.
"""

import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import Error as AnyDatabaseError
from django.db import IntegrityError, connection
from django.db.models.functions import Now

from portal.exceptions import PartBusy, PortalError, SessionClosed
from portal.models import PartClaim
from portal.services.transactions import write_transaction

logger = logging.getLogger("portal.parts")

LEASE = timedelta(seconds=30)
RENEW_SECONDS = LEASE.total_seconds() / 3
#: A writer stops so long before others may begin.
MARGIN_SECONDS = 5
#: What dead processes leave is dropped after a while.
KEPT = timedelta(hours=24)


class Claim:
    """Our right to write some parts of one session: those of `numbers`."""

    def __init__(self, token, numbers):
        self.token, self.numbers = token, numbers

    def require(self):
        """Raise PartBusy unless the claim was renewed lately: without that, others may be writing by now."""
        if not keeper.is_fresh(self.token):
            raise PartBusy("The claim on this part could not be renewed; send it again.")

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
    token, asked_at = uuid4(), time.monotonic()
    claims = PartClaim.objects.filter(session_id=session_id, number__in=numbers)
    lease = {"token": token, "lease_until": Now() + LEASE}
    try:
        with write_transaction():
            # In order, and past what others hold at the moment, so that nobody waits in a circle.
            free = claims.filter(lease_until__lte=Now()).order_by("number").select_for_update(skip_locked=True)
            PartClaim.objects.filter(pk__in=list(free.values_list("pk", flat=True))).update(**lease)
            new = [PartClaim(session_id=session_id, number=number, **lease) for number in numbers]
            PartClaim.objects.bulk_create(new, ignore_conflicts=True)
    except IntegrityError as error:
        # The session was deleted at this moment.
        raise SessionClosed from error
    held = list(claims.filter(token=token).values_list("number", flat=True))
    if not held:
        return None
    keeper.add(token, asked_at)
    return Claim(token, held)


def drop_old_claims():
    """Delete claims that ran out long ago; return how many."""
    old = PartClaim.objects.filter(lease_until__lt=Now() - KEPT)
    with write_transaction():
        return PartClaim.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:1000])).delete()[0]


class Keeper:
    """Renews the claims of this process, in a thread that lives while there are any."""

    def __init__(self):
        #: When the claim of each token was last known to be ours; set before the database was asked.
        self._known_at: dict[UUID, float] = {}
        self._mutex, self._thread = threading.Lock(), None

    def add(self, token, known_at):
        """Renew this claim from now on."""
        with self._mutex:
            self._known_at[token] = known_at
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="portal-claims", daemon=True)
                thread.start()
                self._thread = thread

    def remove(self, token):
        """Renew it no more."""
        with self._mutex:
            self._known_at.pop(token, None)

    def is_fresh(self, token):
        """Whether nobody can have taken the claim over yet."""
        return time.monotonic() < self._known_at.get(token, float("-inf")) + LEASE.total_seconds() - MARGIN_SECONDS

    def renew(self):
        """Renew all claims now; those that others have by now are ours no more."""
        asked_at = time.monotonic()
        with self._mutex:
            tokens = list(self._known_at)
        ours = PartClaim.objects.filter(token__in=tokens)
        with write_transaction():
            held = list(ours.order_by("number").select_for_update(skip_locked=True).values_list("pk", "token"))
            PartClaim.objects.filter(pk__in=[pk for pk, _ in held]).update(lease_until=Now() + LEASE)
        with self._mutex:
            self._known_at |= {token: asked_at for _, token in held if token in self._known_at}

    def _run(self):
        pause = threading.Event()
        while True:
            pause.wait(RENEW_SECONDS)
            with self._mutex:
                if not self._known_at:
                    self._thread = None
                    return
            try:
                self.renew()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round may do better
                logger.warning("claims on parts are not renewed: %s", error)
            with suppress(Exception):
                connection.close()


#: The one of this process.
keeper = Keeper()

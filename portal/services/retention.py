"""What is not kept for ever: deliveries that arrived. Their events stay, and so does what waits or is DEAD."""

import time
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from portal.models import Delivery, Endpoint
from portal.services.transactions import write_transaction

#: Deleted in one transaction; in one call, so that a finalize waits for no more than that.
BLOCK, LIMIT = 1000, 20_000


def drop_old_deliveries(*, stopped=lambda: False):
    """Delete deliveries that are DELIVERED for longer than PORTAL_DELIVERIES_KEEP_DAYS; return how many, at most LIMIT.

    None when that is 0, and no more once `stopped()` is true. A replay makes a new one and sends the event again.
    """
    kept = timedelta(days=settings.PORTAL_DELIVERIES_KEEP_DAYS)
    if not kept:
        return 0
    # By the id, which has the time of making in it: the index on it is there, and none that is younger is looked at.
    made_before = UUID(int=int((time.time() - kept.total_seconds()) * 1000) << 80)
    old = Delivery.objects.filter(status=Delivery.Status.DELIVERED, pk__lt=made_before, status_at__lt=Now() - kept)
    dropped = 0
    for endpoint in Endpoint.objects.filter(Exists(old.filter(endpoint=OuterRef("pk")))).order_by("pk"):
        while dropped < LIMIT and not stopped() and (count := _drop_block(endpoint, old)):
            dropped += count
    return dropped


def _drop_block(endpoint, old):
    with write_transaction():
        # Whoever replays an event holds its endpoints: what is to be sent again is not dropped in between.
        if not Endpoint.objects.filter(pk=endpoint.pk).select_for_update(no_key=True, skip_locked=True):
            return 0
        rows = old.filter(endpoint=endpoint).order_by("pk").select_for_update(skip_locked=True)
        return Delivery.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:BLOCK])).delete()[0]

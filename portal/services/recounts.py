"""Counting again, a little at a time: workers walk all batches and owners, and the last whole pass says what drift is.

One of them may have millions of files: after each the worker looks whether it has to stop, or has counted for long.
"""

import logging
import time
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.db.models.functions import Now

from portal.models import Recount, UploadBatch
from portal.services.reconcile import find_drift
from portal.services.transactions import write_transaction
from portal.services.usage import find_usage_drift

logger = logging.getLogger("portal.reconcile")

#: Batches, or owners, that are counted in one step; it begins no other when it has taken so long.
BLOCK = 50
STEP_SECONDS = 2.0
#: How long the workers rest between two whole passes.
REST = timedelta(hours=1)


def recount_some(*, stopped=lambda: False):
    """Count the next batches again, and after the last of them the owners; return how many, 0 at rest.

    Each is counted in one statement that no traffic disturbs; none is begun once `stopped()` is true. Two workers that
    come to the same ones count them twice, and one of them writes it down.
    """
    recount = _find_recount()
    if recount is None:
        return 0
    seen = {name: getattr(recount, name) for name in ("last_batch_id", "last_owner_id", "found")}
    if recount.last_owner_id is None:
        place, rows, find = "last_batch_id", UploadBatch.objects, lambda pk: find_drift(batch_ids=[pk])
    else:
        place, rows, find = "last_owner_id", get_user_model().objects, lambda pk: find_usage_drift(owner_ids=[pk])
    rows = rows.order_by("pk") if seen[place] is None else rows.order_by("pk").filter(pk__gt=seen[place])
    keys, counted, found = list(rows.values_list("pk", flat=True)[:BLOCK]), 0, recount.found
    until = time.monotonic() + STEP_SECONDS
    while counted < len(keys) and not stopped() and time.monotonic() < until:
        for drift in find(keys[counted]):
            logger.error("%s", drift)
            found += 1
        counted += 1
    if counted == len(keys) < BLOCK:
        step = _after(place, found)
    else:
        step = {place: keys[counted - 1], "found": found} if counted else {}
    if step:
        with write_transaction():
            Recount.objects.filter(pk=Recount.ONLY, **seen).update(**step)
    return counted


def _after(place, found):
    """Return what the row says once all batches, or all owners, are counted."""
    if place == "last_batch_id":
        return {"last_batch_id": None, "last_owner_id": 0, "found": found}
    return {"last_owner_id": None, "found": 0, "drift": found, "finished_at": Now()}


def _find_recount():
    """Return the row when there is something to count, None while the pass that ended last is still fresh."""
    under_way = Q(last_batch_id__isnull=False) | Q(last_owner_id__isnull=False)
    due = under_way | Q(finished_at__isnull=True) | Q(finished_at__lt=Now() - REST)
    recount = Recount.objects.filter(due, pk=Recount.ONLY).first()
    if recount is None and not Recount.objects.exists():
        with write_transaction():
            Recount.objects.bulk_create([Recount()], ignore_conflicts=True)
        recount = Recount.objects.get(pk=Recount.ONLY)
    return recount

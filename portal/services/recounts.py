"""Counting again, a little at a time: workers walk all batches, and the last whole pass says what drift there is."""

import logging
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from portal.models import Recount, UploadBatch
from portal.services.reconcile import find_drift
from portal.services.transactions import write_transaction
from portal.services.usage import find_usage_drift

logger = logging.getLogger("portal.reconcile")

#: Batches that are counted in one step, and how long the workers rest between two whole passes.
BLOCK = 50
REST = timedelta(hours=1)


def recount_some():
    """Count the next batches again, each in one statement that no traffic disturbs; return how many, 0 at rest.

    Two workers that come to the same batches count them twice, and one of them writes it down.
    """
    recount = _find_recount()
    if recount is None:
        return 0
    rows = UploadBatch.objects.order_by("id")
    if recount.last_batch_id:
        rows = rows.filter(pk__gt=recount.last_batch_id)
    ids = list(rows.values_list("pk", flat=True)[:BLOCK])
    drift = list(find_drift(batch_ids=ids)) if ids else []
    for found in drift:
        logger.error("batch %s: %s is %d, the rows say %d", found.batch_id, found.counter, found.kept, found.counted)
    found = recount.found + len(drift)
    if len(ids) < BLOCK:
        found += _count_owners()
    if len(ids) == BLOCK:
        step = {"last_batch_id": ids[-1], "found": found}
    else:
        step = {"last_batch_id": None, "found": 0, "drift": found, "finished_at": Now()}
    with write_transaction():
        Recount.objects.filter(pk=Recount.ONLY, last_batch_id=recount.last_batch_id, found=recount.found).update(**step)
    return len(ids)


def _count_owners():
    """Count again what owners take up; return how many counters differ."""
    drift = list(find_usage_drift())
    for found in drift:
        logger.error("owner %s: %s is %d, the rows say %d", found.owner, found.counter, found.kept, found.counted)
    return len(drift)


def _find_recount():
    """Return the row when there is something to count, None while the pass that ended last is still fresh."""
    due = Q(last_batch_id__isnull=False) | Q(finished_at__isnull=True) | Q(finished_at__lt=Now() - REST)
    recount = Recount.objects.filter(due, pk=Recount.ONLY).first()
    if recount is None and not Recount.objects.exists():
        with write_transaction():
            Recount.objects.bulk_create([Recount()], ignore_conflicts=True)
        recount = Recount.objects.get(pk=Recount.ONLY)
    return recount

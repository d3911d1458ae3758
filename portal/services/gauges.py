"""What /metrics reads from the rows: states, ages and depths, by partial indexes that hold only what is under way."""

import logging
import sys

from django.db.models import Count, Min, Q, Sum
from django.utils import timezone

from portal import metrics
from portal.models import Delivery, OutboxEvent, OwnerUsage, PartClaim, Recount, UploadSession, WorkerBeat
from portal.services.endpoints import active_endpoints
from portal.services.heartbeats import SILENT_SECONDS
from portal.storage.base import StorageMisconfigured, StorageUnavailable

logger = logging.getLogger("portal.metrics")

Status = UploadSession.Status


def read_gauges(*, find_storage):
    """Yield `(metric, labels, value)` of every gauge that is known; `find_storage()` returns the storage, or raises."""
    yield from _uploads()
    yield from _outbox()
    yield metrics.OVERDUE, (), UploadSession.objects.overdue().count()
    finalizing = UploadSession.objects.filter(status=Status.FINALIZING).aggregate(at=Min("status_at"))
    yield metrics.CLAIM_AGE, ("finalize",), seconds_since(finalizing["at"])
    yield metrics.CLAIM_AGE, ("part",), seconds_since(PartClaim.objects.aggregate(at=Min("lease_until"))["at"])
    taken = OwnerUsage.objects.aggregate(files=Sum("stored_files"), size=Sum("stored_bytes"))
    yield metrics.STORED_FILES, (), taken["files"] or 0
    yield metrics.STORED_BYTES, (), taken["size"] or 0
    yield from _recount()
    heard = WorkerBeat.objects.since(SILENT_SECONDS).count()
    yield metrics.WORKERS, ("ok",), heard
    yield metrics.WORKERS, ("silent",), WorkerBeat.objects.count() - heard
    yield from _room(find_storage)


def seconds_since(moment):
    """Return how many seconds ago a time of the database was, by this machine's clock; 0 for None or the future."""
    return max(0.0, (timezone.now() - moment).total_seconds()) if moment else 0.0


def _uploads():
    rows = UploadSession.objects.alive().order_by().values_list("status")
    found = {status: (count, size) for status, count, size in rows.annotate(Count("pk"), Sum("total_size_bytes"))}
    for status in UploadSession.ALIVE:
        count, size = found.get(status, (0, 0))
        yield metrics.UPLOADS, (status.value,), count
        yield metrics.UPLOAD_BYTES, (status.value,), size


def _outbox():
    unnumbered = OutboxEvent.objects.filter(seq__isnull=True).aggregate(n=Count("pk"), at=Min("created_at"))
    # What waits for a DISABLED endpoint waits on purpose; what is sent again has waited since then.
    sent_now = Q(endpoint__in=active_endpoints())
    pending = Delivery.objects.pending().aggregate(n=Count("pk"), at=Min("status_at", filter=sent_now))
    yield metrics.OUTBOX_DEPTH, ("unnumbered",), unnumbered["n"]
    yield metrics.OUTBOX_DEPTH, ("pending",), pending["n"]
    yield metrics.OUTBOX_DEPTH, ("dead",), Delivery.objects.dead().count()
    oldest = min(filter(None, (unnumbered["at"], pending["at"])), default=None)
    yield metrics.OUTBOX_AGE, (), seconds_since(oldest)


def _room(find_storage):
    try:
        free = find_storage().free_bytes()
    except (StorageMisconfigured, StorageUnavailable) as error:
        # While the storage has a fault, whoever looks needs all the others.
        logger.warning("the free bytes of the storage are not known: %s", error)
        return
    if free < sys.maxsize:
        yield metrics.FREE_BYTES, (), free


def _recount():
    recount = Recount.objects.filter(finished_at__isnull=False).first()
    if recount:
        yield metrics.DRIFT, (), recount.drift
        yield metrics.RECOUNT_AGE, (), seconds_since(recount.finished_at)

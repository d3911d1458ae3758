"""What is stuck in each state, found in the rows and in the storage; `portal.services.doctor` has the deadlines.

Every function takes a deadline and the storage, and yields one text, or one row, for each that is past it by the
database's clock.
"""

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from portal.exceptions import StorageUnavailable
from portal.models import (
    Delivery,
    Endpoint,
    IdempotencyKey,
    IngestFile,
    OutboxEvent,
    PartClaim,
    UploadBatch,
    UploadSession,
)
from portal.services.cleanup import find_unnamed
from portal.services.endpoints import active_endpoints, known_endpoints, not_handed
from portal.services.heartbeats import SILENT, SILENT_SECONDS, worker_state
from portal.services.inspection import find_scanner_fault
from portal.services.reconcile import find_drift
from portal.services.space import storage_errors
from portal.services.usage import find_usage_drift
from portal.services.verify import verify_stored


def _rows(queryset):
    """Yield the rows of a queryset as text, in constant memory."""
    yield from queryset.order_by("pk").iterator()


def silent_workers(deadline, storage):
    """Workers have run, and none was heard of lately."""
    if worker_state() == SILENT:
        yield f"no worker was heard of for {SILENT_SECONDS} s"


def overdue_sessions(deadline, storage):
    """Open sessions past their lifetime."""
    return _rows(UploadSession.objects.open().filter(expires_at__lte=Now() - deadline))


def _finalizing(**conditions):
    return _rows(UploadSession.objects.filter(status=UploadSession.Status.FINALIZING, **conditions))


def waiting_finalizes(deadline, storage):
    """Finalizes whose lease ran out, and that nobody took up."""
    return _finalizing(lease_until__lte=Now() - deadline)


def failing_finalizes(deadline, storage):
    """Finalizes that were tried again and again."""
    return _finalizing(status_at__lte=Now() - deadline, attempts__gt=1)


def dead_bytes(deadline, storage):
    """Ended sessions whose bytes are not removed yet."""
    return _rows(UploadSession.objects.dead().filter(bytes_removed=False, status_at__lte=Now() - deadline))


def unnumbered_events(deadline, storage):
    """Events that nobody has numbered."""
    return _rows(OutboxEvent.objects.filter(seq__isnull=True, created_at__lte=Now() - deadline))


def behind_endpoints(deadline, storage):
    """Active endpoints that were not handed events that are for them."""
    return _rows(active_endpoints().filter(not_handed(OutboxEvent.objects.filter(created_at__lte=Now() - deadline))))


def overdue_deliveries(deadline, storage):
    """Deliveries that should have been tried, to active endpoints."""
    return _rows(Delivery.objects.filter(endpoint__in=active_endpoints(), due_at__lte=Now() - deadline))


def dead_deliveries(deadline, storage):
    """Deliveries whose every attempt has failed."""
    return _rows(Delivery.objects.dead())


def disabled_endpoints(deadline, storage):
    """Disabled endpoints that events wait for."""
    waiting = Delivery.objects.pending().filter(endpoint=OuterRef("pk"))
    disabled = known_endpoints().filter(Exists(waiting), status=Endpoint.Status.DISABLED)
    return _rows(disabled.filter(status_at__lte=Now() - deadline))


def old_keys(deadline, storage):
    """Idempotency keys past the time for which they are kept."""
    return _rows(IdempotencyKey.objects.filter(created_at__lte=Now() - deadline))


def old_part_claims(deadline, storage):
    """Claims on parts that ran out long ago."""
    return _rows(PartClaim.objects.filter(lease_until__lte=Now() - deadline))


def uncompleted_batches(deadline, storage):
    """Batches that have all that they wait for, and are not completed."""
    return _rows(UploadBatch.objects.to_complete())


def files_without_session(deadline, storage):
    """Files on their way that no session carries."""
    carried = UploadSession.objects.alive().filter(file=OuterRef("pk"))
    return _rows(IngestFile.objects.filter(~Exists(carried), status=IngestFile.Status.UPLOADING))


def drift(deadline, storage):
    """Counters that differ from the rows."""
    yield from find_drift()
    yield from find_usage_drift()


def files_without_bytes(deadline, storage):
    """STORED files whose bytes are missing or of another size."""
    return (finding for _, finding in verify_stored(storage=storage, quick=True) if finding)


def bytes_without_file(deadline, storage):
    """Bytes that no row names."""
    with storage_errors():
        for kind in ("staging", "objects"):
            for key in find_unnamed(kind, storage=storage, older_than=deadline.total_seconds()):
                yield f"{kind} {key}"


def silent_scanner(deadline, storage):
    """The scanner of the settings cannot be asked."""
    if fault := find_scanner_fault():
        yield fault


def full_disk(deadline, storage):
    """The storage does not answer, or is nearly full."""
    try:
        with storage_errors():
            storage.check()
            free = storage.free_bytes()
    except StorageUnavailable as error:
        yield error.detail
        return
    if free < 2 * settings.PORTAL_MIN_FREE_BYTES:
        yield f"{free} bytes are free"

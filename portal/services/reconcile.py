"""Recount the batches from their files: the drift is 0, and this is how one knows."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from portal.models import IngestFile, UploadBatch
from portal.services.batches import COUNTERS
from portal.services.transactions import write_transaction

BLOCK = 200


@dataclass(frozen=True)
class Drift:
    """One counter of one batch that differs from its rows."""

    batch_id: UUID
    counter: str
    kept: int
    counted: int

    def __str__(self):
        return f"batch {self.batch_id}: {self.counter} is {self.kept}, the rows say {self.counted}"


def find_drift(*, batch_ids=None, progress=None):
    """Yield a Drift for each counter that differs from the rows; each batch is read in one statement.

    `progress(n)` hears how many batches were looked at so far.
    """
    last, seen = None, 0
    while True:
        block = _recounted().order_by("id")
        if batch_ids is not None:
            block = block.filter(pk__in=batch_ids)
        block = list((block.filter(pk__gt=last) if last else block)[:BLOCK])
        for batch in block:
            for name in COUNTERS:
                kept, counted = getattr(batch, name), getattr(batch, f"counted_{name}")
                if kept != counted:
                    yield Drift(batch.pk, name, kept, counted)
        seen += len(block)
        if progress:
            progress(seen)
        if len(block) < BLOCK:
            return
        last = block[-1].pk


def fix_batch(batch_id):
    """Set the counters of one batch to what its rows say, in one transaction that holds the batch's row."""
    with write_transaction():
        # The row is locked first, then counted: no transition of its files can commit in between.
        UploadBatch.objects.filter(pk=batch_id).update(updated_at=F("updated_at"))
        batch = _recounted().get(pk=batch_id)
        UploadBatch.objects.filter(pk=batch_id).update(**{name: getattr(batch, f"counted_{name}") for name in COUNTERS})


def _recounted():
    """Batches with a `counted_` column for each counter, read in the same statement as the counter itself."""
    stored = Q(status=IngestFile.Status.STORED)
    counts = {
        "total_files": Count("pk"),
        "stored_count": Count("pk", filter=stored),
        "failed_count": Count("pk", filter=Q(status=IngestFile.Status.FAILED)),
        "total_bytes": Sum("size_bytes"),
        "stored_bytes": Sum("size_bytes", filter=stored),
    }
    files = IngestFile.objects.filter(batch=OuterRef("pk")).order_by().values("batch")
    # Where the files of a completed batch were deleted, the counters tell of what was.
    return UploadBatch.objects.filter(files_deleted_at__isnull=True).annotate(
        **{
            f"counted_{name}": Coalesce(Subquery(files.annotate(n=count).values("n")), 0)
            for name, count in counts.items()
        }
    )

"""Batches: make, find, list, and count what happens to their files."""

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from portal import access
from portal.exceptions import BatchCancelled, BatchCompleted, BatchSealed
from portal.models import UploadBatch
from portal.services import outbox
from portal.services.limits import over_quota
from portal.services.pages import prefix_range, read_page
from portal.services.transactions import write_transaction

#: What closes a batch to a change, and the error that says so.
CLOSED_BY = {"cancelled_at": BatchCancelled, "completed_at": BatchCompleted, "sealed_at": BatchSealed}
TO_JOIN = ("cancelled_at", "sealed_at", "completed_at")
#: A file that was declared has joined already; it may come after others have completed the batch.
TO_CARRY_ON = ("cancelled_at",)
TO_REOPEN = ("cancelled_at", "completed_at")
TO_LEAVE = ("completed_at",)


def create_batch(caller, *, name="", metadata=None, expected_files=None, keep=None):
    """Make a batch of the caller's; `keep(batch)` runs inside the transaction (idempotency)."""
    batch = UploadBatch(owner=caller.user, name=name, metadata=metadata or {}, expected_files=expected_files)
    with write_transaction():
        batch.save(force_insert=True)
        if keep:
            keep(batch)
    return batch


def get_batch(caller, batch_id):
    """Return the batch with its counters, one query; raises NotFound if it is not the caller's."""
    return access.get_batch(caller, batch_id)


def list_batches(caller, fields, *, status=None, **page):
    """Return a Page of the caller's batches, newest first."""
    rows = access.batches_of(caller)
    return read_page(rows.filter(status=status) if status else rows, fields, newest_first=True, **page)


def list_batch_files(batch, fields, *, status=None, path_prefix=None, **page):
    """Return a Page of the batch's files by id; by path, compared bytewise, when `path_prefix` is given."""
    rows = batch.files.filter(status=status) if status else batch.files.all()
    if path_prefix is None:
        return read_page(rows, fields, **page)
    start, below = prefix_range(path_prefix)
    rows = rows.filter(path__gte=start)
    return read_page(rows.filter(path__lt=below) if below else rows, fields, key="path", **page)


def update_batch_counters(batch_id, *, total=0, stored=0, failed=0, total_bytes=0, stored_bytes=0, open_to=()):
    """Move the counters of a batch by what one transition did; no batch, nothing to do.

    Only inside the transaction of that transition, only when it won, and last in it: the row of a busy batch is
    locked from here to the end of the commit. `open_to` names the columns that must still be empty (TO_JOIN, …); if
    one is not, raises the error that says so, or QuotaExceeded for too many files, and the transaction rolls back.
    """
    if batch_id is None:
        return
    batch = UploadBatch.objects.filter(pk=batch_id)
    open_now = batch.filter(**{f"{name}__isnull": True for name in open_to})
    if total > 0 and settings.PORTAL_QUOTA_BATCH_FILES:
        open_now = open_now.filter(total_files__lte=settings.PORTAL_QUOTA_BATCH_FILES - total)
    moved = open_now.update(
        total_files=F("total_files") + total,
        stored_count=F("stored_count") + stored,
        failed_count=F("failed_count") + failed,
        total_bytes=F("total_bytes") + total_bytes,
        stored_bytes=F("stored_bytes") + stored_bytes,
        updated_at=Now(),
    )
    if not moved:
        row = batch.get()
        refuse_closed(row, open_to)
        raise over_quota("batch_files", settings.PORTAL_QUOTA_BATCH_FILES, row.total_files, total)
    if stored > 0 or failed > 0 or total < 0:
        complete_batch(batch_id)


def refuse_full_batch(batch, *, joining=0):
    """Raise QuotaExceeded when a batch has as many files as it may have once so many others have joined.

    `update_batch_counters` is what counts.
    """
    quota, used = settings.PORTAL_QUOTA_BATCH_FILES, batch.total_files + joining
    if quota and used >= quota:
        raise over_quota("batch_files", quota, used, 1)


def complete_batch(batch_id):
    """Give the batch its `completed_at` and its event, once, when it has all that it waits for.

    Only inside the transaction of the change that may have completed it.
    """
    if UploadBatch.objects.to_complete().filter(pk=batch_id).update(completed_at=Now()):
        outbox.record_batch_completed(batch_id)


def refuse_closed(batch, open_to):
    """Raise the error of the first column of `open_to` that closes the batch; return when it is open."""
    for name in open_to:
        if getattr(batch, name) is not None:
            raise CLOSED_BY[name]

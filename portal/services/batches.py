"""Batches: make, find, list, and count what happens to their files."""

from functools import cache

from django.conf import settings
from django.db.models import BigIntegerField, F, IntegerField
from django.db.models.functions import Now

from portal import access
from portal.exceptions import BatchCancelled, BatchCompleted, BatchSealed
from portal.models import UploadBatch
from portal.models.prepared import Prepared, Slot, slots
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
#: What `update_batch_counters` moves.
COUNTERS = ("total_files", "stored_count", "failed_count", "total_bytes", "stored_bytes")

_COMPLETE = Prepared(
    lambda: (UploadBatch.objects.to_complete().filter(**slots(UploadBatch, "id")), {"completed_at": Now()})
)


class Overshoot(Exception):
    """Together they are more files than the batch expects: those that are too many must be refused one by one."""


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
    limited = total > 0 and settings.PORTAL_QUOTA_BATCH_FILES > 0
    moved = _moving(tuple(open_to), limited).write(
        id=batch_id,
        most=settings.PORTAL_QUOTA_BATCH_FILES - total,
        total_files=total,
        stored_count=stored,
        failed_count=failed,
        total_bytes=total_bytes,
        stored_bytes=stored_bytes,
    )
    if not moved:
        row = UploadBatch.objects.get(pk=batch_id)
        refuse_closed(row, open_to)
        raise over_quota("batch_files", settings.PORTAL_QUOTA_BATCH_FILES, row.total_files, total)
    if stored > 0 or failed > 0 or total < 0:
        complete_batch(batch_id)


@cache
def _moving(open_to, limited):
    """Return the statement that moves all counters while the columns `open_to` are empty; `limited` by a quota."""

    def build():
        batch = UploadBatch.objects.filter(**slots(UploadBatch, "id"), **{f"{name}__isnull": True for name in open_to})
        if limited:
            batch = batch.filter(total_files__lte=Slot("most", IntegerField()))
        return batch, {name: F(name) + Slot(name, BigIntegerField()) for name in COUNTERS} | {"updated_at": Now()}

    return Prepared(build)


def refuse_full_batch(batch, *, joining=0):
    """Raise QuotaExceeded when a batch has as many files as it may have once so many others have joined.

    `update_batch_counters` is what counts.
    """
    quota, used = settings.PORTAL_QUOTA_BATCH_FILES, batch.total_files + joining
    if quota and used >= quota:
        raise over_quota("batch_files", quota, used, 1)


def refuse_overshoot(batch, count):
    """Raise Overshoot when so many files together have carried the batch past what it expects.

    Only inside the transaction that has counted them: its row is held.
    """
    if count < 2 or batch.expected_files is None:
        return
    if UploadBatch.objects.filter(pk=batch.pk, stored_count__gt=F("expected_files")).exists():
        raise Overshoot


def complete_batch(batch_id):
    """Give the batch its `completed_at` and its event, once, when it has all that it waits for.

    Only inside the transaction of the change that may have completed it.
    """
    if _COMPLETE.write(id=batch_id):
        outbox.record_batch_completed(batch_id)


def refuse_closed(batch, open_to):
    """Raise the error of the first column of `open_to` that closes the batch; return when it is open."""
    for name in open_to:
        if getattr(batch, name) is not None:
            raise CLOSED_BY[name]

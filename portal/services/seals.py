"""Seal a batch: from then on no file joins it, and it is completed when nothing of it is pending."""

from django.db.models.functions import Now

from portal.exceptions import SealMismatch, StatusConflict
from portal.models import UploadBatch
from portal.services.batches import complete_batch, refuse_closed
from portal.services.receipts import digest_manifest
from portal.services.transactions import write_transaction

#: How often a batch that changes under a seal is looked at anew.
TRIES = 5


def seal_batch(batch, *, expected_files=None, manifest_sha256=None):
    """Seal `batch` if it has what is expected; sealing a sealed one again changes nothing.

    `expected_files` is by default what the batch was made with, which is not asked for again once that has completed
    it; `manifest_sha256` is the digest of its manifest, in which files on their way stand with the SHA-256 that was
    declared for them. One that has none has no place in any manifest yet.
    Raises SealMismatch, BatchCancelled, and StatusConflict when files keep ending meanwhile.
    """
    for _ in range(TRIES):
        if batch.sealed_at is not None:
            return
        refuse_closed(batch, ("cancelled_at",))
        expected = batch.expected_files if expected_files is None else expected_files
        # What completed the batch has come, whatever failed beside it: only what is said now is compared.
        unchanged = _compare(batch, expected_files if batch.completed_at else expected, manifest_sha256)
        with write_transaction():
            # What was compared must still be so: a join, a finalize or a cancel may have come between.
            open_now = UploadBatch.objects.filter(
                pk=batch.pk, sealed_at__isnull=True, cancelled_at__isnull=True, **unchanged
            )
            if open_now.update(sealed_at=Now(), updated_at=Now(), expected_files=expected):
                complete_batch(batch.pk)
        batch.refresh_from_db()
    if batch.sealed_at is None:
        raise StatusConflict("The batch keeps changing; seal it again when its uploads have ended.")


def _compare(batch, expected, manifest_sha256):
    """Return the columns that the comparison rests on, as they were seen; raises SealMismatch."""
    unchanged = {}
    if expected is not None:
        if batch.total_files != expected:
            raise _mismatch(batch, expected)
        unchanged["total_files"] = expected
    if manifest_sha256 is not None:
        # Files on their way count as they were declared: what they will be is what the receipt will list.
        found = digest_manifest(batch, promised=True)
        if found != manifest_sha256:
            raise _mismatch(batch, batch.total_files, manifest_sha256=found)
        unchanged |= {name: getattr(batch, name) for name in ("total_files", "failed_count", "total_bytes")}
    return unchanged


def _mismatch(batch, expected, **more):
    """Return the error: how many files are not there, not STORED where a manifest was given, or too many."""
    there = batch.stored_count if more else batch.total_files
    return SealMismatch(
        expected_files=expected,
        total_files=batch.total_files,
        missing=max(expected - there, 0),
        extra=max(there - expected, 0),
        **more,
    )

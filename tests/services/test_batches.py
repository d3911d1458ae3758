"""Batches: made, found, listed, counted."""

from portal.models import UploadBatch
from portal.services.batches import get_batch
from tests.samples import make_batch, open_session, ready_session, store_file


def test_finalizing_three_of_five_files_counts_three_as_stored(ann, storage):
    batch = make_batch(ann)
    for _ in range(3):
        store_file(ann, storage, batch=batch)
    ready_session(ann, storage, batch=batch)
    open_session(ann, storage, batch=batch)
    batch = get_batch(ann, batch.pk)
    assert (batch.total_files, batch.stored_count, batch.failed_count, batch.pending_count) == (5, 3, 0, 2)
    assert batch.status == UploadBatch.Status.IN_PROGRESS

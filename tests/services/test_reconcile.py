"""Recounting: drift is found wherever it was put, set right, and is nowhere after a life of all kinds."""

import pytest
from django.db.models import F

from portal.exceptions import Sha256Mismatch
from portal.models import IngestFile, UploadBatch
from portal.services import reconcile
from portal.services.cleanup import expire_sessions
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.reconcile import COUNTERS, Drift, find_drift, fix_batch
from portal.services.sessions import abort_session
from tests.samples import make_batch, open_session, ready_session, store_file
from tests.services.situations import counters, let_lifetime_end


@pytest.fixture
def batch(ann, storage):
    """A batch with a stored file of 4 bytes, a failed one of 5 and one of 6 that is on its way."""
    batch = make_batch(ann)
    store_file(ann, storage, b"data", batch=batch)
    abort_session(open_session(ann, storage, size=5, batch=batch))
    open_session(ann, storage, size=6, batch=batch)
    return batch


TRUE = {"total_files": 3, "stored_count": 1, "failed_count": 1, "total_bytes": 15, "stored_bytes": 4}


def test_a_batch_without_drift_has_none(batch):
    assert list(find_drift()) == []
    assert {name: getattr(UploadBatch.objects.get(), name) for name in COUNTERS} == TRUE


@pytest.mark.parametrize("name", COUNTERS)
def test_drift_of_each_counter_is_found_and_set_right(batch, name):
    # Downwards, where the database allows it: the counters have to add up among themselves.
    step = 1 if name in ("total_files", "total_bytes") else -1
    UploadBatch.objects.filter(pk=batch.pk).update(**{name: F(name) + step})
    assert list(find_drift()) == [Drift(batch.pk, name, kept=TRUE[name] + step, counted=TRUE[name])]
    fix_batch(batch.pk)
    assert list(find_drift()) == []
    assert getattr(UploadBatch.objects.get(), name) == TRUE[name]


def test_a_batch_without_files_is_recounted_as_none(ann):
    batch = make_batch(ann)
    UploadBatch.objects.update(total_files=2, total_bytes=7)
    assert {(drift.counter, drift.counted) for drift in find_drift()} == {("total_files", 0), ("total_bytes", 0)}
    fix_batch(batch.pk)
    assert counters(batch) == (0, 0, 0, 0)


def test_files_of_other_batches_and_of_none_are_not_counted(batch, ann, storage):
    store_file(ann, storage)
    store_file(ann, storage, batch=make_batch(ann))
    assert list(find_drift()) == []


def test_fixing_one_batch_leaves_the_others(batch, ann):
    other = make_batch(ann)
    UploadBatch.objects.update(total_files=F("total_files") + 1)
    fix_batch(batch.pk)
    assert [drift.batch_id for drift in find_drift()] == [other.pk]


def test_only_the_batches_that_were_named_are_looked_at(batch, ann):
    other = make_batch(ann)
    UploadBatch.objects.update(total_files=F("total_files") + 1)
    assert [drift.batch_id for drift in find_drift(batch_ids=[other.pk])] == [other.pk]


def test_all_batches_are_looked_at_in_blocks(ann, monkeypatch):
    monkeypatch.setattr(reconcile, "BLOCK", 2)
    batches = [make_batch(ann).pk for _ in range(5)]
    UploadBatch.objects.update(total_files=1)
    heard = []
    assert [drift.batch_id for drift in find_drift(progress=heard.append)] == batches
    assert heard == [2, 4, 5]


def test_a_mixed_life_of_files_leaves_no_drift(ann, storage):
    batch = make_batch(ann, expected_files=50)
    stored = [store_file(ann, storage, b"x" * size, batch=batch, path=f"s{size}") for size in range(4)]
    for size in range(1, 4):
        abort_session(open_session(ann, storage, size=size, batch=batch, path=f"a{size}"))
        let_lifetime_end(open_session(ann, storage, size=size, batch=batch, path=f"e{size}"))
        with pytest.raises(Sha256Mismatch):
            store_file(ann, storage, b"y" * size, batch=batch, path=f"m{size}", sha256="0" * 64)
        open_session(ann, storage, size=size, batch=batch)
    assert expire_sessions(storage=storage) == 3
    store_file(ann, storage, b"again and longer", batch=batch, path="a1")
    open_session(ann, storage, size=0, batch=batch, path="e1")
    abort_session(ready_session(ann, storage, b"once more", batch=batch, path="m1"))
    delete_file(stored[3], storage=storage)
    delete_file(IngestFile.objects.get(path="a2"), storage=storage)
    delete_file(IngestFile.objects.get(path="e1"), storage=storage)
    for file in stored[:3]:
        finalize_session(file.sessions.get(), storage=storage)
    assert list(find_drift()) == []
    assert counters(batch) == (13, 4, 6, 3)

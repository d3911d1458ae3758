"""`manage.py reconcile_batches`: the drift is 0, and the exit status says when it is not."""

from uuid import uuid4

import pytest
from django.core.management.base import CommandError

from portal.models import UploadBatch
from tests.management.commands import run
from tests.samples import make_batch, open_session, store_file


@pytest.fixture
def batch(ann, storage):
    """A batch with a stored file and an open one."""
    batch = make_batch(ann)
    store_file(ann, storage, b"12345", batch=batch)
    open_session(ann, storage, batch=batch)
    return batch


def drift(batch):
    """Let two counters say what the rows do not."""
    UploadBatch.objects.filter(pk=batch.pk).update(total_files=7, stored_bytes=0)


def test_no_drift_is_told_and_is_success(batch):
    assert run("reconcile_batches") == "batches=1 drift=0\n"


def test_drift_is_a_failure_and_changes_nothing(batch):
    drift(batch)
    with pytest.raises(CommandError, match="--fix") as error:
        run("reconcile_batches")
    assert error.value.returncode == 1
    batch.refresh_from_db()
    assert batch.total_files == 7


def test_what_is_told_names_batch_counter_and_both_numbers(batch):
    drift(batch)
    lines = run("reconcile_batches", "--fix").splitlines()
    assert lines == [
        f"batch {batch.pk}: total_files is 7, the rows say 2",
        f"batch {batch.pk}: stored_bytes is 0, the rows say 5",
        "batches=1 drift=2 fixed",
    ]


def test_fix_sets_the_counters_and_is_success(batch):
    drift(batch)
    run("reconcile_batches", "--fix")
    batch.refresh_from_db()
    assert (batch.total_files, batch.stored_count, batch.total_bytes, batch.stored_bytes) == (2, 1, 6, 5)
    assert run("reconcile_batches") == "batches=1 drift=0\n"


def test_only_the_batches_that_were_named_are_looked_at(batch, ann):
    other = make_batch(ann)
    drift(batch)
    assert run("reconcile_batches", str(other.pk)) == "batches=1 drift=0\n"
    with pytest.raises(CommandError):
        run("reconcile_batches", str(other.pk), str(batch.pk))


@pytest.mark.parametrize("text", ["x", "1", ""])
def test_what_is_no_id_is_refused(db, text):
    with pytest.raises(CommandError, match="invalid UUID"):
        run("reconcile_batches", text)


def test_a_batch_that_is_not_there_is_no_drift_of_zero(batch):
    unknown = str(uuid4())
    drift(batch)
    with pytest.raises(CommandError, match=f"no batch {unknown}; nothing"):
        run("reconcile_batches", "--fix", str(batch.pk), unknown)
    batch.refresh_from_db()
    assert batch.total_files == 7


def test_the_exit_status_is_what_a_shell_sees(portal_server):
    assert portal_server.manage("reconcile_batches").endswith("drift=0\n")

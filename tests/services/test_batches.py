"""Batches: made, found, listed, and their status derived from what happened to their files."""

import pytest

from portal.exceptions import NotFound
from portal.models import UploadBatch
from portal.services.batches import create_batch, get_batch, list_batch_files, list_batches
from portal.services.sessions import abort_session
from tests.samples import make_batch, open_session, ready_session, store_file
from tests.services.situations import set_columns


def fail_file(caller, storage, **fields):
    """Return the FAILED file of a session that was aborted."""
    session = open_session(caller, storage, **fields)
    abort_session(session)
    return session.file


def status_of(caller, batch):
    """Return the status that the batch has now."""
    return get_batch(caller, batch.pk).status


def listed(caller, **query):
    """Return the ids of the batches in the caller's list."""
    return [row["id"] for row in list_batches(caller, ["id"], **query).rows]


def test_a_new_batch_has_what_it_was_given_and_counts_nothing(ann):
    made = create_batch(ann, name="June", metadata={"site": 7}, expected_files=3)
    batch = get_batch(ann, made.pk)
    assert (batch.owner, batch.name, batch.metadata, batch.expected_files) == (ann.user, "June", {"site": 7}, 3)
    assert (batch.total_files, batch.stored_count, batch.failed_count, batch.pending_count) == (0, 0, 0, 0)
    assert (batch.total_bytes, batch.stored_bytes, batch.completed_at, batch.sealed_at) == (0, 0, None, None)


def test_a_failure_to_keep_the_answer_leaves_no_batch(ann):
    def keep(batch):
        raise RuntimeError("the answer cannot be kept")

    with pytest.raises(RuntimeError):
        create_batch(ann, keep=keep)
    assert not UploadBatch.objects.exists()


def test_a_batch_of_somebody_else_is_not_found(ann, bob):
    batch = make_batch(ann)
    with pytest.raises(NotFound):
        get_batch(bob, batch.pk)


def test_batches_are_listed_newest_first_and_only_ones_own(ann, bob):
    first, second = make_batch(ann), make_batch(ann)
    make_batch(bob)
    assert listed(ann) == [second.pk, first.pk]


def test_finalizing_three_of_five_files_counts_three_as_stored(ann, storage):
    batch = make_batch(ann)
    for _ in range(3):
        store_file(ann, storage, batch=batch)
    ready_session(ann, storage, batch=batch)
    open_session(ann, storage, batch=batch)
    batch = get_batch(ann, batch.pk)
    assert (batch.total_files, batch.stored_count, batch.failed_count, batch.pending_count) == (5, 3, 0, 2)
    assert batch.status == UploadBatch.Status.IN_PROGRESS


def test_a_batch_without_files_is_init(ann):
    assert status_of(ann, make_batch(ann, expected_files=2)) == "INIT"


def test_a_batch_with_a_pending_file_is_in_progress(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    open_session(ann, storage, batch=batch)
    assert status_of(ann, batch) == "IN_PROGRESS"


def test_a_batch_that_waits_for_more_files_is_in_progress_though_all_have_ended(ann, storage):
    batch = make_batch(ann, expected_files=3)
    store_file(ann, storage, batch=batch)
    fail_file(ann, storage, batch=batch)
    assert status_of(ann, batch) == "IN_PROGRESS"


@pytest.mark.parametrize("expected", [None, 2])
def test_a_batch_of_stored_files_is_complete(ann, storage, expected):
    batch = make_batch(ann, expected_files=expected)
    store_file(ann, storage, batch=batch)
    store_file(ann, storage, batch=batch)
    assert status_of(ann, batch) == "COMPLETE"


@pytest.mark.parametrize("expected", [None, 2])
def test_a_batch_whose_files_have_ended_differently_is_partial(ann, storage, expected):
    batch = make_batch(ann, expected_files=expected)
    store_file(ann, storage, batch=batch)
    fail_file(ann, storage, batch=batch)
    assert status_of(ann, batch) == "PARTIAL"


@pytest.mark.parametrize("expected", [None, 1])
def test_a_batch_of_failed_files_is_failed(ann, storage, expected):
    batch = make_batch(ann, expected_files=expected)
    fail_file(ann, storage, batch=batch)
    assert status_of(ann, batch) == "FAILED"


def test_a_batch_that_was_cancelled_is_cancelled_whatever_it_holds(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    set_columns(batch, cancelled_at=batch.created_at)
    assert status_of(ann, batch) == "CANCELLED"


def test_batches_are_listed_by_status(ann, storage):
    waiting, done = make_batch(ann), make_batch(ann)
    store_file(ann, storage, batch=done)
    assert listed(ann, status="COMPLETE") == [done.pk]
    assert listed(ann, status="INIT") == [waiting.pk]
    assert listed(ann, status="FAILED") == []


def test_the_files_of_a_batch_are_listed_in_the_order_in_which_they_joined(ann, storage):
    batch = make_batch(ann)
    files = [store_file(ann, storage, batch=batch).pk for _ in range(3)]
    store_file(ann, storage, batch=make_batch(ann))
    store_file(ann, storage)
    assert [row["id"] for row in list_batch_files(batch, ["id"]).rows] == files


def test_the_files_of_a_batch_are_listed_by_status(ann, storage):
    batch = make_batch(ann)
    stored = store_file(ann, storage, batch=batch)
    failed = fail_file(ann, storage, batch=batch)
    open_session(ann, storage, batch=batch)
    assert [row["id"] for row in list_batch_files(batch, ["id"], status="STORED").rows] == [stored.pk]
    assert [row["id"] for row in list_batch_files(batch, ["id"], status="FAILED").rows] == [failed.pk]

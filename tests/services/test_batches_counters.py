"""Counters of a batch: moved once by each transition, last in its transaction, and what they complete."""

import functools
import re

import pytest

from portal.exceptions import BatchCancelled, BatchCompleted, BatchSealed, Sha256Mismatch
from portal.models import IngestFile, OutboxEvent, UploadBatch
from portal.services.batches import TO_JOIN, complete_batch, update_batch_counters
from portal.services.cleanup import expire_sessions
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from tests.samples import make_batch, open_session, ready_session, store_file
from tests.services.situations import (
    counters,
    drift,
    event_types,
    just_before,
    let_lifetime_end,
    seen_transactions,
    set_columns,
)


def test_bytes_are_counted_as_they_join_and_as_they_are_stored(ann, storage):
    batch = make_batch(ann)
    open_session(ann, storage, size=100, batch=batch)
    store_file(ann, storage, b"seven b", batch=batch)
    abort_session(open_session(ann, storage, size=30, batch=batch))
    batch.refresh_from_db()
    assert (batch.total_bytes, batch.stored_bytes) == (137, 7)
    assert drift() == []


def test_a_file_without_a_batch_moves_no_counter(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage)
    assert counters(batch) == (0, 0, 0, 0)


def test_a_batch_is_completed_when_as_many_files_are_stored_as_it_expects(ann, storage):
    batch = make_batch(ann, expected_files=2)
    store_file(ann, storage, batch=batch)
    batch.refresh_from_db()
    assert batch.completed_at is None
    store_file(ann, storage, batch=batch)
    batch.refresh_from_db()
    assert batch.completed_at is not None
    assert event_types() == ["file.uploaded", "file.uploaded", "batch.completed"]


def test_a_failed_file_does_not_complete_a_batch(ann, storage):
    batch = make_batch(ann, expected_files=2)
    store_file(ann, storage, batch=batch)
    abort_session(open_session(ann, storage, batch=batch))
    batch.refresh_from_db()
    assert batch.completed_at is None


def test_a_batch_is_completed_once_though_more_files_are_stored_than_it_expects(ann, storage):
    batch = make_batch(ann, expected_files=1)
    late = ready_session(ann, storage, batch=batch)
    store_file(ann, storage, batch=batch)
    batch.refresh_from_db()
    completed_at = batch.completed_at
    finalize_session(late, storage=storage)
    complete_batch(batch.pk)
    batch.refresh_from_db()
    assert (batch.completed_at, batch.stored_count) == (completed_at, 2)
    assert OutboxEvent.objects.filter(event_type="batch.completed").count() == 1


def test_nothing_joins_a_completed_batch(ann, storage):
    batch = make_batch(ann, expected_files=1)
    store_file(ann, storage, batch=batch)
    with pytest.raises(BatchCompleted):
        open_session(ann, storage, batch=batch)
    assert counters(batch) == (1, 1, 0, 0)
    assert IngestFile.objects.count() == 1


@pytest.mark.parametrize(
    ("column", "error"),
    [("sealed_at", BatchSealed), ("completed_at", BatchCompleted), ("cancelled_at", BatchCancelled)],
)
def test_counters_do_not_move_in_a_batch_that_closed_meanwhile(ann, column, error):
    batch = make_batch(ann)
    set_columns(batch, **{column: batch.created_at})
    with pytest.raises(error):
        update_batch_counters(batch.pk, total=1, open_to=TO_JOIN)
    assert counters(batch) == (0, 0, 0, 0)


def test_a_batch_that_closes_between_the_look_and_the_transaction_takes_no_file(ann, storage, monkeypatch):
    batch = make_batch(ann)
    complete = functools.partial(set_columns, batch, completed_at=batch.created_at)
    just_before(monkeypatch, storage, "create_staging", complete)
    with pytest.raises(BatchCompleted):
        open_session(ann, storage, batch=batch)
    assert not IngestFile.objects.exists()
    assert drift() == []


def test_moving_counters_moves_updated_at(ann, storage):
    batch = make_batch(ann)
    before = batch.updated_at
    open_session(ann, storage, batch=batch)
    batch.refresh_from_db()
    assert batch.updated_at > before


def open_again(session, storage, caller):
    """Open the path of the FAILED file of `session` again."""
    abort_session(session)
    batch = UploadBatch.objects.get(pk=session.file.batch_id)
    with seen_transactions() as transactions:
        open_session(caller, storage, batch=batch, path=session.file.path)
    return transactions


def expire(session, storage):
    """Let the lifetime of `session` end and expire it."""
    let_lifetime_end(session)
    with seen_transactions() as transactions:
        assert expire_sessions(storage=storage) == 1
    return transactions


def refuse_digest(session, storage):
    """Finalize `session` with a digest that its bytes do not have."""
    set_columns(session, declared_sha256="0" * 64)
    with seen_transactions() as transactions, pytest.raises(Sha256Mismatch):
        finalize_session(session, storage=storage)
    return transactions


def seen(action):
    """Return what `action(session, storage)` writes."""

    def run(session, storage, caller):
        with seen_transactions() as transactions:
            action(session, storage)
        return transactions

    return run


WAYS = {
    "finalize": seen(lambda session, storage: finalize_session(session, storage=storage)),
    "abort": seen(lambda session, storage: abort_session(session)),
    "delete": seen(lambda session, storage: delete_file(session.file, storage=storage)),
    "expire": lambda session, storage, caller: expire(session, storage),
    "refuse": lambda session, storage, caller: refuse_digest(session, storage),
    "open again": open_again,
}


#: Rows that many transactions meet on, in the order in which each of them takes them.
HOT = (None, "portal_uploadbatch", "portal_ownerusage")


def table_of(sql):
    """Return the table that a statement writes to if it is one of those, else None."""
    table = re.search(r'"(portal_\w+)"', sql)[1]
    return table if table in HOT else None


@pytest.mark.parametrize("way", WAYS)
def test_the_rows_of_the_batch_and_then_of_the_owner_are_written_last(ann, storage, way):
    session = ready_session(ann, storage, batch=make_batch(ann), path="a")
    transactions = WAYS[way](session, storage, ann)
    order = [[HOT.index(table_of(sql)) for sql in writes] for writes in transactions]
    (counting,) = [places for places in order if 1 in places]
    assert len(counting) > 1
    assert counting == sorted(counting), "after the first write to the batch, another row is written"
    assert counting[-1] == 2


def test_the_row_of_the_batch_is_written_last_when_a_file_joins(ann, storage):
    batch = make_batch(ann)
    open_session(ann, storage, batch=batch)
    with seen_transactions() as transactions:
        open_session(ann, storage, batch=batch)
    assert [sql.split('"')[:2] for sql in transactions[-1]] == [
        ["INSERT INTO ", "portal_ingestfile"],
        ["INSERT INTO ", "portal_uploadsession"],
        ["UPDATE ", "portal_uploadbatch"],
        ["UPDATE ", "portal_ownerusage"],
    ]

"""Cancel: nothing joins, what is open ends, what is stored stays; and the files of a batch that has ended go."""

import hashlib

import pytest

from portal.exceptions import BatchCancelled, BatchCompleted, FileBusy, StatusConflict
from portal.models import IngestFile, ManifestBlock, OutboxEvent, UploadBatch, UploadSession
from portal.services import cancels, receipts
from portal.services.cancels import cancel_batch, delete_batch_files
from portal.services.claims import claim_session
from portal.services.finalize import finalize_session
from portal.services.receipts import get_receipt, read_manifest
from portal.services.seals import seal_batch
from tests.samples import make_batch, open_session, ready_session, send_part, store_file
from tests.services.situations import (
    counters,
    drift,
    event_types,
    just_after,
    just_before,
    seen_transactions,
    session_row,
)


def all_bytes(storage):
    """Return the keys of everything that is stored, of each kind."""
    return [key for kind in storage.files.values() for key in kind]


def fresh(batch):
    """Return the batch as its row says now."""
    return UploadBatch.objects.get(pk=batch.pk)


def test_open_sessions_are_aborted_and_stored_files_stay(ann, storage):
    batch = make_batch(ann)
    kept = store_file(ann, storage, batch=batch)
    sessions = [open_session(ann, storage, batch=batch), ready_session(ann, storage, batch=batch)]
    cancel_batch(batch, storage=storage)
    assert counters(batch) == (3, 1, 2, 0)
    assert fresh(batch).status == "CANCELLED"
    assert {session_row(session).status for session in sessions} == {"ABORTED"}
    files = IngestFile.objects.filter(status="FAILED")
    assert [file.error["code"] for file in files] == ["aborted", "aborted"]
    assert event_types() == ["file.uploaded", "file.failed", "file.failed"]
    assert all_bytes(storage) == [kept.storage_key]
    assert drift() == []


def test_nothing_joins_opens_again_or_is_sealed(ann, storage):
    batch = make_batch(ann)
    open_session(ann, storage, batch=batch, path="a")
    cancel_batch(batch, storage=storage)
    for path in ("a", "b"):
        with pytest.raises(BatchCancelled):
            open_session(ann, storage, batch=batch, path=path)
    with pytest.raises(BatchCancelled):
        seal_batch(fresh(batch))


def test_again_is_the_same_and_ends_what_a_crash_left_open(ann, storage, monkeypatch):
    batch = make_batch(ann)
    open_session(ann, storage, batch=batch)
    monkeypatch.setattr(cancels, "_abort_sessions", lambda *_: None)
    cancel_batch(batch, storage=storage)
    first = fresh(batch).cancelled_at
    monkeypatch.undo()
    for _ in range(2):
        cancel_batch(fresh(batch), storage=storage)
        assert (fresh(batch).cancelled_at, counters(batch)) == (first, (1, 0, 1, 0))


def test_a_completed_batch_is_not_cancelled(ann, storage):
    batch = make_batch(ann, expected_files=1)
    store_file(ann, storage, batch=batch)
    with pytest.raises(BatchCompleted):
        cancel_batch(batch, storage=storage)
    assert (fresh(batch).cancelled_at, fresh(batch).status) == (None, "COMPLETE")


@pytest.mark.parametrize("sealed", [False, True])
def test_what_is_being_finalized_runs_to_its_end_and_completes_nothing(ann, storage, sealed):
    batch = make_batch(ann, expected_files=1)
    session = ready_session(ann, storage, batch=batch)
    if sealed:
        seal_batch(fresh(batch))
    claim_session(session).leave()
    cancel_batch(batch, storage=storage)
    assert finalize_session(session_row(session), storage=storage).status == "STORED"
    assert (counters(batch), fresh(batch).completed_at) == ((1, 1, 0, 0), None)
    assert fresh(batch).status == "CANCELLED"
    assert "batch.completed" not in event_types()


def test_a_session_that_moves_meanwhile_is_aborted_all_the_same(ann, storage, monkeypatch):
    batch = make_batch(ann)
    sessions = [open_session(ann, storage, batch=batch) for _ in range(3)]
    moved = lambda: send_part(ann, storage, sessions[1], 1, b"x")  # noqa: E731
    just_before(monkeypatch, cancels, "record_aborted", moved)
    cancel_batch(batch, storage=storage)
    assert (counters(batch), all_bytes(storage), drift()) == ((3, 0, 3, 0), [], [])
    assert event_types() == ["file.failed"] * 3


def test_many_sessions_are_counted_once_for_each_block(ann, storage, monkeypatch):
    monkeypatch.setattr(cancels, "BLOCK", 3)
    batch = make_batch(ann)
    for _ in range(7):
        open_session(ann, storage, batch=batch)
    with seen_transactions() as transactions:
        cancel_batch(batch, storage=storage)
    moves = [sql for statements in transactions for sql in statements if 'SET "total_files"' in sql]
    assert (len(moves), counters(batch)) == (3, (7, 0, 7, 0))


def test_all_files_of_a_cancelled_batch_go_with_their_bytes(ann, storage):
    batch, other = make_batch(ann), make_batch(ann)
    kept = store_file(ann, storage, batch=other)
    store_file(ann, storage, batch=batch)
    open_session(ann, storage, batch=batch)
    for _ in range(2):
        delete_batch_files(fresh(batch), storage=storage)
        row = fresh(batch)
        assert (row.status, row.total_bytes, counters(batch)) == ("CANCELLED", 0, (0, 0, 0, 0))
        assert list(IngestFile.objects.all()) == [kept]
        assert (all_bytes(storage), drift()) == ([kept.storage_key], [])
        assert not UploadSession.objects.exclude(file=kept).exists()


def test_files_that_are_being_finalized_are_told_and_the_others_go(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    session = ready_session(ann, storage, batch=batch)
    claim_session(session).leave()
    with pytest.raises(FileBusy):
        delete_batch_files(fresh(batch), storage=storage)
    assert counters(batch) == (1, 0, 0, 1)
    finalize_session(session_row(session), storage=storage)
    delete_batch_files(fresh(batch), storage=storage)
    assert (counters(batch), all_bytes(storage), drift()) == ((0, 0, 0, 0), [], [])


def completed(ann, storage, count=5):
    """Return a completed batch of so many files, with paths and without, and what its receipt and manifest say."""
    batch = make_batch(ann)
    for number in range(count):
        store_file(ann, storage, b"%d" % number, batch=batch, path=f"p {number}")
    store_file(ann, storage, b"loose", batch=batch, original_filename="odd\\name")
    seal_batch(fresh(batch))
    batch = fresh(batch)
    return batch, get_receipt(batch), b"".join(read_manifest(batch))


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_completed_batch_without_its_files_has_the_same_receipt_for_ever(ann, storage, monkeypatch, asked_before):
    monkeypatch.setattr(receipts, "BLOCK_BYTES", 100)
    batch, receipt, manifest = completed(ann, storage)
    if not asked_before:
        UploadBatch.objects.update(manifest_sha256="")
    before = counters(batch)
    for _ in range(2):
        delete_batch_files(fresh(batch), storage=storage)
        assert (list(batch.files.all()), all_bytes(storage)) == ([], [])
        assert get_receipt(fresh(batch)) == receipt
        assert b"".join(read_manifest(fresh(batch))) == manifest
        assert (counters(batch), drift()) == (before, [])
    assert hashlib.sha256(manifest).hexdigest() == receipt["manifest_sha256"]
    assert ManifestBlock.objects.count() > 1
    with pytest.raises(BatchCompleted):
        cancel_batch(fresh(batch), storage=storage)


def test_a_crash_in_the_middle_is_gone_over_again(ann, storage, monkeypatch):
    monkeypatch.setattr(receipts, "BLOCK_BYTES", 100)
    batch, receipt, manifest = completed(ann, storage)
    just_after(monkeypatch, cancels, "keep_manifest", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        delete_batch_files(fresh(batch), storage=storage)
    delete_batch_files(fresh(batch), storage=storage)
    assert (get_receipt(fresh(batch)), b"".join(read_manifest(fresh(batch)))) == (receipt, manifest)
    assert not batch.files.exists()


def test_a_manifest_that_is_read_while_its_files_go_is_never_told_short(ann, storage, monkeypatch):
    monkeypatch.setattr(receipts, "BLOCK_BYTES", 100)
    batch, _, manifest = completed(ann, storage)
    reading = read_manifest(fresh(batch))
    first = next(reading)
    delete_batch_files(fresh(batch), storage=storage)
    with pytest.raises(StatusConflict):
        list(reading)
    assert manifest.startswith(first)


@pytest.mark.parametrize("what", ["deletes", "reads"])
def test_who_comes_second_finds_the_receipt_kept(ann, storage, monkeypatch, what):
    monkeypatch.setattr(receipts, "BLOCK_BYTES", 100)
    batch, receipt, manifest = completed(ann, storage)
    UploadBatch.objects.filter(pk=batch.pk).update(manifest_sha256="")
    just_after(monkeypatch, receipts, "manifest_line", lambda: delete_batch_files(fresh(batch), storage=storage))
    if what == "deletes":
        delete_batch_files(fresh(batch), storage=storage)
    assert get_receipt(fresh(batch)) == receipt
    assert b"".join(read_manifest(fresh(batch))) == manifest
    assert not batch.files.exists()


def test_pending_files_of_a_completed_batch_end_before_its_receipt_is_kept(ann, storage):
    batch = make_batch(ann, expected_files=1)
    open_session(ann, storage, batch=batch)
    store_file(ann, storage, batch=batch)
    assert fresh(batch).pending_count == 1
    delete_batch_files(fresh(batch), storage=storage)
    assert (counters(batch), batch.files.count(), drift()) == ((2, 1, 1, 0), 0, [])
    assert get_receipt(fresh(batch))["failed_count"] == 1


def test_a_batch_that_is_completed_at_the_moment_of_its_cancel_becomes_a_tombstone(ann, storage, monkeypatch):
    batch = make_batch(ann, expected_files=1)
    session = ready_session(ann, storage, batch=batch)
    just_before(monkeypatch, cancels, "cancel_batch", lambda: finalize_session(session, storage=storage))
    delete_batch_files(fresh(batch), storage=storage)
    assert (fresh(batch).status, batch.files.count()) == ("COMPLETE", 0)
    assert OutboxEvent.objects.filter(event_type="batch.completed").count() == 1

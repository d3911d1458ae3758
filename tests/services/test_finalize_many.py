"""Many finalizes in one call: recorded together, counted once, each with an outcome of its own."""

import pytest
from django.db import OperationalError

from portal.models import UploadBatch
from portal.services import assemble, finalize
from portal.services.claims import take_over
from portal.services.finalize import finalize_again, finalize_many
from tests.samples import make_batch, open_session, ready_session
from tests.services.situations import (
    counters,
    drift,
    event_types,
    failing,
    just_before,
    let_lease_end,
    seen_transactions,
    session_row,
    stored_bytes,
)


@pytest.fixture
def batch(ann):
    """A batch that expects three files."""
    return make_batch(ann, expected_files=3)


@pytest.fixture
def sessions(ann, storage, batch):
    """Three sessions with all their parts."""
    return [ready_session(ann, storage, b"%d" % number, batch=batch) for number in range(3)]


def named(outcomes):
    """Return the status of each file, the code of each error, None for what goes on."""
    return [outcome and getattr(outcome, "code", getattr(outcome, "status", "")) for outcome in outcomes]


def all_stored(batch, storage, sessions):
    """Whether each file is STORED with its bytes, counted once and told once, and the batch completed once."""
    files = [session_row(session).file for session in sessions]
    assert [file.status for file in files] == ["STORED"] * 3
    assert [stored_bytes(storage, file) for file in files] == [b"0", b"1", b"2"]
    return (counters(batch), sorted(event_types()), drift()) == (
        (3, 3, 0, 0),
        ["batch.completed"] + ["file.uploaded"] * 3,
        [],
    )


def test_those_of_a_group_are_counted_once(storage, batch, sessions):
    with seen_transactions() as transactions:
        outcomes = finalize_many(batch, [session.pk for session in sessions], storage=storage)
    assert named(outcomes) == ["STORED"] * 3
    moves = [sql for statements in transactions for sql in statements if 'SET "total_files"' in sql]
    assert len(moves) == 1
    assert all_stored(batch, storage, sessions)


def test_more_than_a_group_come_in_order_also_when_named_twice(ann, storage, sessions, batch, monkeypatch):
    monkeypatch.setattr(finalize, "GROUP", 2)
    half = open_session(ann, storage, size=2, batch=batch)
    wrong = ready_session(ann, storage, b"x", batch=batch, sha256="0" * 64)
    ids = [sessions[2].pk, half.pk, sessions[0].pk, wrong.pk, sessions[2].pk, sessions[1].pk]
    expected = ["STORED", "missing_parts", "STORED", "sha256_mismatch", "STORED", "STORED"]
    for _ in range(2):
        assert named(finalize_many(batch, ids, storage=storage)) == expected
    assert (counters(batch), drift()) == ((5, 3, 1, 1), [])


def test_one_whose_claim_is_lost_leaves_the_others_to_be_stored(storage, batch, sessions, monkeypatch):
    def lose():
        let_lease_end(session_row(sessions[1]))
        assert take_over(session_row(sessions[1]))

    just_before(monkeypatch, assemble, "record_stored_together", lose)
    outcomes = finalize_many(batch, [session.pk for session in sessions], storage=storage)
    assert named(outcomes) == ["STORED", None, "STORED"]
    assert counters(batch) == (3, 2, 0, 1)
    let_lease_end(session_row(sessions[1]))
    finalize_again(storage=storage)
    assert all_stored(batch, storage, sessions)


def test_the_locks_on_all_files_are_kept_until_the_outcome_is_known(storage, batch, sessions, monkeypatch):
    record, held = assemble.record_stored_together, []

    def look_first(*args, **options):
        record(*args, **options)
        held.extend(len(file.locks) for file in storage.files["objects"].values())

    monkeypatch.setattr(assemble, "record_stored_together", look_first)
    finalize_many(batch, [session.pk for session in sessions], storage=storage)
    assert held == [1, 1, 1]
    assert [file.locks for file in storage.files["objects"].values()] == [{}] * 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("landed", [True, False])
def test_a_commit_without_an_answer_is_read_back(storage, batch, sessions, monkeypatch, landed):
    record = assemble.record_stored_together

    def answer_lost(*args, **options):
        if landed:
            record(*args, **options)
        failing(OperationalError("server closed the connection unexpectedly"))()

    ids = [session.pk for session in sessions]
    with monkeypatch.context() as broken:
        broken.setattr(assemble, "record_stored_together", answer_lost)
        if landed:
            assert named(finalize_many(batch, ids, storage=storage)) == ["STORED"] * 3
        else:
            with pytest.raises(OperationalError):
                finalize_many(batch, ids, storage=storage)
            assert UploadBatch.objects.get(pk=batch.pk).stored_count == 0
            for session in sessions:
                let_lease_end(session_row(session))
            assert finalize_again(storage=storage) == 3
    assert all_stored(batch, storage, sessions)

"""Counting again by the workers: every batch once in a pass, and what was found is told when the pass has ended."""

import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from portal.models import Recount, UploadBatch
from portal.services import recounts
from portal.services.recounts import recount_some
from portal.services.usage import move_usage
from tests.samples import make_batch, make_caller, store_file
from tests.services.situations import just_before, set_columns


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(recounts, "BLOCK", 2)


def steps():
    """Return how many batches, then owners, each step counted until there was nothing left to count."""
    counted = []
    while Recount.objects.filter(finished_at__isnull=True).exists() or not Recount.objects.exists():
        counted.append(recount_some())
    return counted


def test_a_pass_counts_every_batch_once_and_then_rests(ann):
    for _ in range(5):
        make_batch(ann)
    assert steps() == [2, 2, 1, 1]
    assert Recount.objects.get().drift == 0
    assert recount_some() == 0


def test_the_drift_of_a_pass_is_told_when_it_has_ended(ann, storage, caplog):
    wrong = make_batch(ann)
    store_file(ann, storage, batch=wrong)
    for _ in range(3):
        make_batch(ann)
    UploadBatch.objects.filter(pk=wrong.pk).update(total_files=7, stored_bytes=0)
    recount_some()
    assert Recount.objects.get().drift is None
    assert "total_files is 7, the rows say 1" in caplog.text
    assert steps() == [2, 0, 1]
    assert Recount.objects.get().drift == 2


def test_after_its_rest_it_begins_anew(ann):
    batch = make_batch(ann)
    steps()
    UploadBatch.objects.filter(pk=batch.pk).update(total_files=1)
    set_columns(Recount.objects.get(), finished_at=Now() - timedelta(hours=1, seconds=1))
    assert [recount_some(), recount_some()] == [1, 1]
    assert Recount.objects.get().drift == 1


def test_without_batches_and_owners_there_is_no_drift(db):
    assert steps() == [0, 0]
    assert Recount.objects.get().drift == 0


def test_of_two_workers_that_count_the_same_one_writes_it_down(ann, monkeypatch):
    wrong, *_ = [make_batch(ann) for _ in range(3)]
    UploadBatch.objects.filter(pk=wrong.pk).update(total_files=1)
    just_before(monkeypatch, recounts, "find_drift", recount_some)
    recount_some()
    assert (Recount.objects.get().found, Recount.objects.get().drift) == (1, None)
    assert steps() == [1, 1]
    assert Recount.objects.get().drift == 1


def test_owners_are_counted_a_few_at_a_time_too(db, caplog):
    owners = [make_caller(name).user for name in ("ann", "bob", "cid")]
    move_usage(owners[2].pk, stored_files=2)
    assert steps() == [0, 2, 1]
    assert "owner cid: stored_files is 2, the rows say 0" in caplog.text
    assert Recount.objects.get().drift == 1
    assert (Recount.objects.get().last_owner_id, recount_some()) == (None, 0)


@pytest.mark.parametrize("asked", range(3))
def test_none_is_counted_once_a_stop_is_asked_for_and_the_next_worker_goes_on_there(ann, asked):
    for _ in range(3):
        make_batch(ann)
    answers = [False] * asked + [True]
    assert recount_some(stopped=lambda: answers.pop(0)) == asked
    assert steps() == {0: [2, 1, 1], 1: [2, 0, 1], 2: [1, 1]}[asked]


def test_a_step_that_takes_long_ends_after_one(ann, monkeypatch):
    monkeypatch.setattr(recounts, "STEP_SECONDS", 0.01)
    find = recounts.find_drift
    monkeypatch.setattr(recounts, "find_drift", lambda **asked: [time.sleep(0.02), *find(**asked)][1:])
    for _ in range(3):
        make_batch(ann)
    assert steps() == [1, 1, 1, 1]

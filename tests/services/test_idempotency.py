"""Idempotency keys: one object for one key, the first answer again, and a claim that a crash left runs out."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models.functions import Now

from portal.exceptions import IdempotencyInProgress, IdempotencyKeyReused
from portal.models import IdempotencyKey, UploadBatch
from portal.services import cleanup
from portal.services.batches import create_batch
from portal.services.idempotency import claim_key
from tests.services.situations import set_columns

ANSWER = {"id": "1", "name": "June"}


def keep(claim, answer=None):
    """Keep an answer as a service does, inside a transaction."""
    with transaction.atomic():
        claim.keep(answer or ANSWER)


def let_run_out(claim):
    """The request that holds the claim was silent for too long."""
    set_columns(IdempotencyKey.objects.get(pk=claim.row.pk), lease_until=Now() - timedelta(seconds=1))


def test_a_new_key_is_claimed_for_a_minute(ann):
    claim = claim_key(ann, "k", "f")
    row = IdempotencyKey.objects.get()
    assert claim.answer is None
    assert (row.status, row.owner, row.key, row.fingerprint) == ("CLAIMED", ann.user, "k", "f")
    assert timedelta(seconds=50) < row.lease_until - row.created_at <= timedelta(seconds=61)


def test_the_same_request_gets_the_first_answer_again(ann):
    keep(claim_key(ann, "k", "f"))
    for _ in range(2):
        assert claim_key(ann, "k", "f").answer == ANSWER


def test_the_code_before_and_the_code_after_give_each_others_answers_again(ann):
    claim = claim_key(ann, "k", "f")
    keep(claim)
    row = IdempotencyKey.objects.get(pk=claim.row.pk)
    # The code before gives this as it is, and writes nothing else.
    assert row.answer == ANSWER
    set_columns(row, answer_text="")
    assert claim_key(ann, "k", "f").answer == ANSWER


def test_another_request_with_the_key_is_refused_whatever_became_of_the_first(ann):
    claim = claim_key(ann, "k", "f")
    with pytest.raises(IdempotencyKeyReused):
        claim_key(ann, "k", "other")
    keep(claim)
    with pytest.raises(IdempotencyKeyReused):
        claim_key(ann, "k", "other")


def test_the_same_request_is_told_that_the_first_one_runs(ann):
    claim_key(ann, "k", "f")
    with pytest.raises(IdempotencyInProgress):
        claim_key(ann, "k", "f")


def test_keys_are_per_caller(ann, bob):
    keep(claim_key(ann, "k", "f"))
    assert claim_key(bob, "k", "other").answer is None


def test_a_request_that_failed_gives_its_key_back(ann):
    claim_key(ann, "k", "f").release()
    assert claim_key(ann, "k", "another request").answer is None


def test_giving_back_does_not_take_an_answer_away(ann):
    claim = claim_key(ann, "k", "f")
    keep(claim)
    claim.release()
    assert claim_key(ann, "k", "f").answer == ANSWER


def test_a_claim_that_a_crash_left_runs_out(ann):
    lost = claim_key(ann, "k", "f")
    let_run_out(lost)
    claim = claim_key(ann, "k", "f")
    assert claim.answer is None
    with pytest.raises(IdempotencyInProgress):
        claim_key(ann, "k", "f")
    keep(claim)
    assert claim_key(ann, "k", "f").answer == ANSWER


def test_two_who_take_a_claim_over_at_once_are_one(ann):
    first = claim_key(ann, "k", "f")
    let_run_out(first)
    seen = IdempotencyKey.objects.get()
    claim_key(ann, "k", "f")
    let_run_out(first)
    assert IdempotencyKey.objects.get().claim_token != seen.claim_token
    with pytest.raises(IdempotencyInProgress):
        keep(first)


def test_a_request_whose_claim_ran_out_makes_nothing_when_another_one_has_it(ann):
    slow = claim_key(ann, "k", "f")
    let_run_out(slow)
    quick = claim_key(ann, "k", "f")
    with pytest.raises(IdempotencyInProgress):
        create_batch(ann, name="slow", keep=lambda batch: slow.keep({"id": str(batch.pk)}))
    batch = create_batch(ann, name="quick", keep=lambda batch: quick.keep({"id": str(batch.pk)}))
    assert list(UploadBatch.objects.values_list("name", flat=True)) == ["quick"]
    assert claim_key(ann, "k", "f").answer == {"id": str(batch.pk)}


def test_a_request_whose_claim_ran_out_does_not_give_the_key_of_another_one_back(ann):
    slow = claim_key(ann, "k", "f")
    let_run_out(slow)
    claim_key(ann, "k", "f")
    slow.release()
    assert IdempotencyKey.objects.count() == 1


def test_the_answer_is_kept_in_the_transaction_of_the_object(ann):
    claim = claim_key(ann, "k", "f")

    def keep_and_fail(batch):
        claim.keep({"id": str(batch.pk)})
        raise RuntimeError("the transaction does not commit")

    with pytest.raises(RuntimeError):
        create_batch(ann, keep=keep_and_fail)
    assert (UploadBatch.objects.count(), IdempotencyKey.objects.get().status) == (0, "CLAIMED")


def test_an_answer_is_kept_as_it_was_shown(ann):
    shown = {"id": UUID(int=7), "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "size": 2**53, "none": None}
    keep(claim_key(ann, "k", "f"), shown)
    assert claim_key(ann, "k", "f").answer == {
        "id": "00000000-0000-0000-0000-000000000007",
        "at": "2026-01-02T03:04:05.678901Z",
        "size": 2**53,
        "none": None,
    }


def test_a_claim_that_was_taken_over_after_long_is_as_old_as_its_new_request(ann):
    let_run_out(claim_key(ann, "k", "f"))
    IdempotencyKey.objects.update(created_at=Now() - timedelta(hours=49))
    keep(claim_key(ann, "k", "f"))
    assert cleanup.drop_old_idempotency_keys() == 0
    assert claim_key(ann, "k", "f").answer == ANSWER


def test_a_key_that_is_given_back_at_this_moment_is_free_the_next_time(ann):
    claim = claim_key(ann, "k", "f")
    with pytest.raises(IdempotencyInProgress):
        claim_key(ann, "k", "f")
    claim.release()
    assert claim_key(ann, "k", "f").answer is None


def test_an_answer_that_was_rolled_back_may_be_kept_again(ann):
    claim = claim_key(ann, "k", "f")
    with transaction.atomic():
        claim.keep({"id": "2"})
        transaction.set_rollback(True)
    keep(claim)
    assert claim_key(ann, "k", "f").answer == ANSWER

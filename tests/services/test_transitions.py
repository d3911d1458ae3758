"""Every status moves in one place, by compare-and-set: the whole matrix of each model, and rows that are stale."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from portal.exceptions import SessionClosed, StatusConflict
from portal.models import IdempotencyKey, IngestFile, UploadSession
from portal.services.limits import session_lifetime
from portal.services.transitions import advance, raise_fence, record_part_in, remove_rows, update_claimed
from tests.services.situations import set_columns

MODELS = [IngestFile, UploadSession, IdempotencyKey]
STATUSES = [(model, str(status)) for model in MODELS for status in model.Status]
PAIRS = [(model, seen, str(to)) for model, seen in STATUSES for to in model.Status]
TRIPLES = [(model, seen, str(now)) for model, seen in STATUSES for now in model.Status if now != seen]

#: What the contract allows, written out once more: (model, from) -> to.
ALLOWED = {
    (IngestFile, "EXPECTED"): {"UPLOADING", "FAILED"},
    (IngestFile, "UPLOADING"): {"STORED", "FAILED"},
    (IngestFile, "FAILED"): {"UPLOADING", "EXPECTED"},
    (UploadSession, "INIT"): {"IN_PROGRESS", "FINALIZING", "ABORTED", "EXPIRED"},
    (UploadSession, "IN_PROGRESS"): {"FINALIZING", "ABORTED", "EXPIRED"},
    (UploadSession, "FINALIZING"): {"COMPLETE", "FAILED", "IN_PROGRESS"},
    (IdempotencyKey, "CLAIMED"): {"ANSWERED"},
}


def fields_of(model, status):
    """Return the columns that the constraints of a model ask for in a status."""
    if model is IngestFile:
        return {"sha256": "a" * 64, "storage_key": "k"} if status == "STORED" else {}
    if model is IdempotencyKey:
        return {"answer": {"id": 1} if status == "ANSWERED" else None}
    return {}


def make_row(caller, model, status):
    """Return a row of `model` in `status`."""
    described = {
        IngestFile: {"original_filename": "a", "content_type": "x/y", "size_bytes": 1},
        UploadSession: {
            "chunk_size_bytes": 1,
            "total_parts": 3,
            "total_size_bytes": 3,
            "expires_at": timezone.now(),
        },
        IdempotencyKey: {"key": "k", "fingerprint": "f", "claim_token": uuid4(), "lease_until": timezone.now()},
    }[model]
    described |= {"status_at": timezone.now() - timedelta(minutes=1), **fields_of(model, status)}
    return model.objects.create(owner=caller.user, status=status, **described)


def columns(row):
    """Return every column of the row as the database has it now."""
    return type(row).objects.filter(pk=row.pk).values().get()


def named(pairs):
    """Return readable names for parameters."""
    return ["-".join([model.__name__, *statuses]) for model, *statuses in pairs]


@pytest.mark.parametrize(("model", "seen", "to"), PAIRS, ids=named(PAIRS))
def test_a_row_makes_the_moves_that_are_allowed_and_no_other(ann, model, seen, to):
    row = make_row(ann, model, seen)
    before = columns(row)
    if to in ALLOWED.get((model, seen), ()):
        advance(row, to, **fields_of(model, to))
        after = columns(row)
        assert (after["status"], row.status) == (to, to)
        assert after["status_at"] > before["status_at"]
    else:
        with pytest.raises(StatusConflict):
            advance(row, to, **fields_of(model, to))
        assert (columns(row), row.status) == (before, seen)


@pytest.mark.parametrize("model", MODELS)
def test_the_table_names_every_status(model):
    assert set(model.TRANSITIONS) == set(model.Status)


@pytest.mark.parametrize(("model", "seen", "now"), TRIPLES, ids=named(TRIPLES))
def test_a_stale_row_loses_and_changes_nothing(ann, model, seen, now):
    row = make_row(ann, model, now)
    row.status = seen  # as it was when somebody read it
    before = columns(row)
    for to in ALLOWED.get((model, seen), ()):
        with pytest.raises(StatusConflict):
            advance(row, to, **fields_of(model, to))
    with pytest.raises(StatusConflict), transaction.atomic():
        remove_rows([row])
    assert (columns(row), row.status) == (before, seen)


def test_a_row_that_is_gone_loses(ann):
    row = make_row(ann, IngestFile, "UPLOADING")
    IngestFile.objects.all().delete()
    with pytest.raises(StatusConflict):
        advance(row, "FAILED")
    with pytest.raises(StatusConflict), transaction.atomic():
        remove_rows([row])


def test_a_move_sets_its_columns_with_it(ann):
    row = make_row(ann, IngestFile, "UPLOADING")
    advance(row, "FAILED", error={"code": "x"})
    assert columns(row)["error"] == {"code": "x"}


def test_a_move_whose_condition_does_not_hold_changes_nothing(ann):
    row = make_row(ann, UploadSession, "INIT")
    with pytest.raises(StatusConflict):
        advance(row, "FINALIZING", where={"completed_parts": 3}, object_key="k")
    assert (row.status, columns(row)["status"], columns(row)["object_key"]) == ("INIT", "INIT", "")


def test_a_move_touches_its_own_row_alone(ann):
    row, other = make_row(ann, UploadSession, "INIT"), make_row(ann, UploadSession, "INIT")
    advance(row, "ABORTED")
    assert columns(other)["status"] == "INIT"


def test_a_row_is_removed_while_it_is_what_was_seen(ann):
    row, other = make_row(ann, IngestFile, "FAILED"), make_row(ann, IngestFile, "FAILED")
    with pytest.raises(StatusConflict), transaction.atomic():
        remove_rows([row], where={"size_bytes": 2})
    with transaction.atomic():
        remove_rows([row], where={"size_bytes": 1})
    assert list(IngestFile.objects.all()) == [other]


def test_only_the_holder_of_a_claim_on_a_finalizing_session_sets_its_columns(ann):
    row = make_row(ann, UploadSession, "FINALIZING")
    ours = uuid4()
    assert not update_claimed(row, ours, attempts=1)
    set_columns(row, claim_token=ours)
    assert update_claimed(row, ours, attempts=2)
    assert not update_claimed(row, uuid4(), attempts=3)
    UploadSession.objects.update(status="COMPLETE")
    assert not update_claimed(row, ours, attempts=4)
    assert columns(row)["attempts"] == 2


@pytest.mark.parametrize("status", list(UploadSession.Status))
def test_parts_are_counted_and_fences_raised_while_the_session_is_open(ann, status):
    row = make_row(ann, UploadSession, status)
    before = columns(row)
    if status in UploadSession.OPEN:
        record_part_in(row.pk, size=1, lifetime=session_lifetime())
        raise_fence(row.pk)
        after = columns(row)
        assert (after["status"], after["completed_parts"], after["received_bytes"]) == ("IN_PROGRESS", 1, 1)
        assert after["fence"] == 1
        assert after["expires_at"] > before["expires_at"]
        return
    for write in (lambda: record_part_in(row.pk, size=1, lifetime=session_lifetime()), lambda: raise_fence(row.pk)):
        with pytest.raises(SessionClosed):
            write()
    assert columns(row) == before

"""How a session ends: session, file, event and counters together, or none of them."""

import pytest

from portal.exceptions import StatusConflict
from portal.models import IngestFile, UploadBatch
from portal.services import outbox, outcomes, transitions
from portal.services.claims import claim_session
from portal.services.outcomes import record_failed, record_stored
from tests.samples import make_batch, ready_session
from tests.services.situations import counters, drift, event_types, failing, session_row, set_columns
from tests.strict import StrictStorage

STORED = {"sha256": "a" * 64, "storage": StrictStorage()}
FAILED = {"code": "storage_error", "detail": "The storage failed."}


@pytest.fixture
def claim(ann, storage):
    """A claim on the session of the only file of a batch."""
    return claim_session(ready_session(ann, storage, batch=make_batch(ann)))


def store(claim, where=None):
    """Publish the file as STORED."""
    record_stored(claim.session, where=where or claim.held, **STORED)


def fail(claim, where=None):
    """Publish the file as FAILED."""
    record_failed(claim.session, "FAILED", where=where or claim.held, **FAILED)


def nothing_happened(claim):
    """Whether session, file, counters and outbox are as they were."""
    row = session_row(claim.session)
    seen = (row.status, row.claim_token, row.error, row.file.status, row.file.sha256, row.file.error)
    untouched = ("FINALIZING", claim.token, None, "UPLOADING", "", None)
    return (seen, counters(row.file.batch), event_types()) == (untouched, (1, 0, 0, 1), [])


@pytest.mark.parametrize("end", [store, fail])
def test_an_outcome_is_published_once(claim, end):
    end(claim)
    with pytest.raises(StatusConflict):
        end(claim)
    assert len(event_types()) == 1
    assert drift() == []


@pytest.mark.parametrize("end", [store, fail])
def test_an_outcome_under_a_claim_of_others_changes_nothing(claim, end):
    with pytest.raises(StatusConflict):
        end(claim, where={"claim_token": claim.session.pk})
    assert nothing_happened(claim)


@pytest.mark.parametrize("end", [store, fail])
@pytest.mark.parametrize("step", ["advance", "update_batch_counters"])
def test_a_fault_on_the_way_takes_everything_back(claim, monkeypatch, end, step):
    place = transitions if step == "advance" and end is fail else outcomes
    monkeypatch.setattr(place, step, failing(RuntimeError(step)))
    with pytest.raises(RuntimeError):
        end(claim)
    assert nothing_happened(claim)


@pytest.mark.parametrize("end", [store, fail])
def test_an_event_that_cannot_be_written_takes_everything_back(claim, monkeypatch, end):
    monkeypatch.setattr(outbox, "insert_values", failing(RuntimeError("outbox")))
    with pytest.raises(RuntimeError):
        end(claim)
    assert nothing_happened(claim)


@pytest.mark.parametrize("end", [store, fail])
def test_a_file_that_is_no_longer_uploading_takes_everything_back(claim, end):
    IngestFile.objects.update(status="FAILED")
    with pytest.raises(StatusConflict):
        end(claim)
    assert session_row(claim.session).status == "FINALIZING"
    assert event_types() == []


def test_a_stored_file_keeps_where_its_bytes_are(claim):
    store(claim)
    row = session_row(claim.session)
    assert (row.status, row.claim_token, row.lease_until) == ("COMPLETE", None, None)
    file = row.file
    assert (file.sha256, file.storage_backend, file.storage_key) == ("a" * 64, "memory", row.object_key)
    assert file.stored_at is not None
    batch = UploadBatch.objects.get()
    assert (batch.stored_count, batch.stored_bytes) == (1, file.size_bytes)


def test_a_failed_file_says_why(claim):
    fail(claim)
    row = session_row(claim.session)
    assert (row.status, row.error, row.file.error) == ("FAILED", FAILED, FAILED)
    assert (row.claim_token, row.lease_until) == (None, None)


def test_the_rows_in_hand_say_what_the_database_says(claim):
    session, file = claim.session, claim.session.file
    store(claim)
    assert (session.status, file.status) == ("COMPLETE", "STORED")
    kept = IngestFile.objects.get()
    for name in ("sha256", "storage_backend", "storage_key", "stored_at", "error"):
        assert getattr(file, name) == getattr(kept, name)


def test_an_error_of_an_earlier_try_is_gone_once_the_file_is_stored(claim):
    set_columns(claim.session.file, error=FAILED)
    store(claim)
    assert IngestFile.objects.get().error is None

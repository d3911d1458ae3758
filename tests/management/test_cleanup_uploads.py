"""`manage.py cleanup_uploads`: one round of expiry and clean-up, told in one line."""

from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from portal.management.commands import cleanup_uploads
from portal.models import IngestFile, UploadSession
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage
from tests.management.commands import run
from tests.samples import make_batch, open_session, ready_session


def leave_alone(session):
    """Let the lifetime of a session be over."""
    UploadSession.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_a_round_with_nothing_to_do_says_so(db):
    assert run("cleanup_uploads") == "expired=0 finalized=0 removed=0 swept=0 keys_dropped=0 deliveries_dropped=0\n"


def test_a_session_that_was_left_alone_expires_and_its_bytes_go(ann):
    storage, batch = get_storage(), make_batch(ann)
    gone, stays = ready_session(ann, storage, batch=batch), open_session(ann, storage, batch=batch)
    leave_alone(gone)
    assert run("cleanup_uploads").startswith("expired=1 finalized=0 ")
    gone.refresh_from_db()
    stays.refresh_from_db()
    assert (gone.status, stays.status) == ("EXPIRED", "INIT")
    assert IngestFile.objects.get(pk=gone.file_id).error["code"] == "expired"
    batch.refresh_from_db()
    assert (batch.failed_count, batch.pending_count) == (1, 1)
    with pytest.raises(FileNotFoundError):
        storage.open_part(gone.staging_key, offset=0, length=4)
    assert run("cleanup_uploads").startswith("expired=0 ")


def test_a_finalize_that_waits_is_taken_up(ann):
    session = ready_session(ann, get_storage())
    past = timezone.now() - timedelta(seconds=1)
    UploadSession.objects.filter(pk=session.pk).update(
        status="FINALIZING", claim_token=session.pk, lease_until=past, object_key=f"aa/bb/{session.pk.hex}"
    )
    assert run("cleanup_uploads").startswith("expired=0 finalized=1 ")
    session.refresh_from_db()
    assert (session.status, session.file.status) == ("COMPLETE", "STORED")


@pytest.mark.parametrize("fault", [StorageMisconfigured("no such folder"), StorageUnavailable("no such folder")])
def test_a_storage_that_does_not_answer_is_told_in_one_line(db, monkeypatch, fault):
    def fail():
        raise fault

    monkeypatch.setattr(cleanup_uploads, "get_storage", fail)
    with pytest.raises(CommandError, match="no such folder"):
        run("cleanup_uploads")

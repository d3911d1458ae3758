"""Events: exactly the members that the contract names, written once in the transaction of their change."""

import json
from datetime import datetime

import pytest
from django.db import IntegrityError, transaction

from portal.models import OutboxEvent
from portal.services import outbox
from portal.services.sessions import abort_session
from tests.samples import make_batch, make_token, open_session, pattern, store_file


def only_event(event_type):
    """Return the only event of a type."""
    return OutboxEvent.objects.get(event_type=event_type)


def heading(event):
    """Return the members that every payload begins with."""
    occurred = event.created_at.isoformat().replace("+00:00", "Z")
    return {"event_type": event.event_type, "event_id": str(event.pk), "occurred_at": occurred}


@pytest.mark.parametrize("in_batch", [True, False])
def test_file_uploaded_tells_where_the_bytes_are(ann, storage, in_batch):
    batch = make_batch(ann) if in_batch else None
    described = {"original_filename": "r.pdf", "content_type": "application/pdf", "path": "a/r.pdf"}
    file = store_file(ann, storage, pattern(100), batch=batch, **described)
    event = only_event("file.uploaded")
    assert event.payload == heading(event) | {
        "file": {
            "id": str(file.pk),
            "batch_id": str(batch.pk) if batch else None,
            "filename": "r.pdf",
            "path": "a/r.pdf",
            "content_type": "application/pdf",
            "size_bytes": 100,
            "sha256": file.sha256,
            "storage": {"backend": "memory", "bucket": None, "key": file.storage_key},
        },
        "actor": {"user_id": ann.user.pk, "username": "ann"},
    }
    assert (event.owner, event.batch_id, event.file_id) == (ann.user, batch and batch.pk, file.pk)
    assert event.subject_id == file.session_id


def test_file_failed_tells_why_and_no_storage(ann, storage):
    batch = make_batch(ann)
    session = open_session(ann, storage, size=7, batch=batch)
    abort_session(session)
    event = only_event("file.failed")
    assert event.payload == heading(event) | {
        "file": {
            "id": str(session.file_id),
            "batch_id": str(batch.pk),
            "filename": "a.bin",
            "path": None,
            "content_type": "application/octet-stream",
            "size_bytes": 7,
            "sha256": None,
        },
        "error": {"code": "aborted", "detail": "The upload was given up."},
        "actor": {"user_id": ann.user.pk, "username": "ann"},
    }


def test_batch_completed_tells_the_counters_that_completed_it(ann, storage):
    batch = make_batch(ann, name="June", expected_files=2)
    abort_session(open_session(ann, storage, size=5, batch=batch))
    store_file(ann, storage, b"one", batch=batch)
    store_file(ann, storage, b"three", batch=batch)
    batch.refresh_from_db()
    event = only_event("batch.completed")
    assert event.payload == heading(event) | {
        "batch": {
            "id": str(batch.pk),
            "name": "June",
            "status": "PARTIAL",
            "total_files": 3,
            "stored_count": 2,
            "failed_count": 1,
            "total_bytes": 13,
            "stored_bytes": 8,
            "completed_at": batch.completed_at.isoformat().replace("+00:00", "Z"),
        }
    }
    assert (event.owner, event.batch_id, event.file_id, event.subject_id) == (ann.user, batch.pk, None, batch.pk)


def test_times_are_rfc_3339_in_utc(ann, storage):
    store_file(ann, storage, batch=make_batch(ann, expected_files=1))
    for event in OutboxEvent.objects.all():
        moment = event.payload["occurred_at"]
        assert moment.endswith("Z")
        assert datetime.fromisoformat(moment) == event.created_at


def test_no_secret_is_in_an_event(ann, storage):
    token = make_token(ann)
    store_file(ann, storage)
    assert token not in json.dumps(only_event("file.uploaded").payload)


def test_each_try_of_a_file_has_an_event_of_its_own(ann, storage):
    batch = make_batch(ann)
    for _ in range(2):
        abort_session(open_session(ann, storage, batch=batch, path="a"))
    store_file(ann, storage, batch=batch, path="a")
    assert list(OutboxEvent.objects.order_by("id").values_list("event_type", flat=True)) == [
        "file.failed",
        "file.failed",
        "file.uploaded",
    ]


def test_a_second_event_for_the_same_change_is_refused_by_the_database(ann, storage):
    file = store_file(ann, storage)
    with pytest.raises(IntegrityError), transaction.atomic():
        outbox.record_files_uploaded([file], storage)
    assert OutboxEvent.objects.count() == 1

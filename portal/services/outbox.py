"""Write events to the outbox, inside the transaction of the change that they tell."""

from django.contrib.auth import get_user_model
from django.utils import timezone
from uuid_utils.compat import uuid7

from portal.models import IngestFile, OutboxEvent, UploadBatch
from portal.models.prepared import Prepared, slots
from portal.models.prepared_rows import insert_values
from portal.services.bells import announce_events


def _name_of_user():
    users = get_user_model()
    return users.objects.filter(**slots(users, "id")).values_list(users.USERNAME_FIELD)


#: Making the SQL for a whole user is more than half of what an event costs.
_USERNAME = Prepared(_name_of_user)


def record_files_uploaded(files, storage):
    """Write `file.uploaded` for each of `files`, just STORED in `storage`; one statement.

    The event tells of the session that carried the file, or of the file itself if it came whole.
    """
    now = timezone.now()
    _insert([_event_of_file("FILE_UPLOADED", file, now, file=_stored_members(file, storage)) for file in files])


def record_files_failed(files):
    """Write `file.failed` for each of `files`, which have just become FAILED; one statement.

    The event tells of the session that carried the file, or of the file itself if none did.
    """
    now = timezone.now()
    _insert([_event_of_file("FILE_FAILED", file, now, file=_file_members(file), error=file.error) for file in files])


def record_batch_completed(batch_id):
    """Write `batch.completed` for the batch, which has just got its `completed_at`."""
    batch = UploadBatch.objects.get(pk=batch_id)
    counters = ("total_files", "stored_count", "failed_count", "total_bytes", "stored_bytes")
    members = {"id": str(batch.pk), "name": batch.name, "status": batch.status}
    members |= {name: getattr(batch, name) for name in counters}
    members["completed_at"] = _rfc3339(batch.completed_at)
    told = {"owner_id": batch.owner_id, "subject_id": batch.pk, "batch_id": batch.pk, "file_id": None}
    _insert([_event("BATCH_COMPLETED", timezone.now(), told, batch=members)])


def _event_of_file(kind, file, now, /, **members):
    told = {"owner_id": file.owner_id, "batch_id": file.batch_id, "file_id": file.pk}
    told["subject_id"] = file.session_id or file.pk
    return _event(kind, now, told, **members, actor={"user_id": file.owner_id, "username": _username_of(file)})


def _event(kind, now, told, /, **members):
    """Return the columns of an event: a new id, what is `told` of it, and its payload."""
    event_type, event_id = OutboxEvent.Type[kind].value, uuid7()
    head = {"event_type": event_type, "event_id": str(event_id), "occurred_at": _rfc3339(now)}
    return told | {
        "id": event_id,
        "event_type": event_type,
        "created_at": now,
        "payload": head | members,
        "seq": None,
    }


def _insert(events):
    insert_values(OutboxEvent, events)
    announce_events()


def _username_of(file):
    if IngestFile.owner.is_cached(file):
        return file.owner.get_username()
    ((name,),) = _USERNAME.rows(id=file.owner_id)
    return name


def _stored_members(file, storage):
    place = {"backend": file.storage_backend, "bucket": storage.bucket, "key": storage.public_key(file.storage_key)}
    return _file_members(file) | {"storage": place}


def _file_members(file):
    return {
        "id": str(file.pk),
        "batch_id": str(file.batch_id) if file.batch_id else None,
        "filename": file.original_filename,
        "path": file.path,
        "content_type": file.content_type,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256 or None,
    }


def _rfc3339(moment):
    return moment.isoformat().replace("+00:00", "Z")

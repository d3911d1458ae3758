"""Write events to the outbox, inside the transaction of the change that they tell."""

from django.contrib.auth import get_user_model
from django.utils import timezone
from uuid_utils.compat import uuid7

from portal.models import IngestFile, OutboxEvent, UploadBatch
from portal.models.prepared import Prepared, insert_rows, slots
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
    kind = OutboxEvent.Type.FILE_UPLOADED
    events = []
    for file in files:
        members = _stored_members(file, storage) | _actor_members(file)
        events.append(_fill(_event_of(kind, file, file.session_id or file.pk), members))
    _insert(events)


def record_files_failed(files):
    """Write `file.failed` for each of `files`, which have just become FAILED; one statement.

    The event tells of the session that carried the file, or of the file itself if none did.
    """
    events = []
    for file in files:
        event = _event_of(OutboxEvent.Type.FILE_FAILED, file, file.session_id or file.pk)
        events.append(_fill(event, {"file": _file_members(file), "error": file.error} | _actor_members(file)))
    _insert(events)


def record_batch_completed(batch_id):
    """Write `batch.completed` for the batch, which has just got its `completed_at`."""
    batch = UploadBatch.objects.get(pk=batch_id)
    counters = ("total_files", "stored_count", "failed_count", "total_bytes", "stored_bytes")
    members = {"id": str(batch.pk), "name": batch.name, "status": batch.status}
    members |= {name: getattr(batch, name) for name in counters}
    members["completed_at"] = _rfc3339(batch.completed_at)
    event = OutboxEvent(
        event_type=OutboxEvent.Type.BATCH_COMPLETED, owner_id=batch.owner_id, subject_id=batch.pk, batch_id=batch.pk
    )
    _insert([_fill(event, {"batch": members})])


def _event_of(event_type, file, subject_id):
    return OutboxEvent(
        event_type=event_type,
        owner_id=file.owner_id,
        subject_id=subject_id,
        batch_id=file.batch_id,
        file_id=file.pk,
    )


def _insert(events):
    insert_rows(events)
    announce_events()


def _fill(event, members):
    """Give `event` its id, its time and its payload; return it."""
    event.pk = uuid7()
    event.created_at = timezone.now()
    event.payload = {
        "event_type": str(event.event_type),
        "event_id": str(event.pk),
        "occurred_at": _rfc3339(event.created_at),
        **members,
    }
    return event


def _actor_members(file):
    return {"actor": {"user_id": file.owner_id, "username": _username_of(file)}}


def _username_of(file):
    if IngestFile.owner.is_cached(file):
        return file.owner.get_username()
    ((name,),) = _USERNAME.rows(id=file.owner_id)
    return name


def _stored_members(file, storage):
    place = {"backend": file.storage_backend, "bucket": storage.bucket, "key": storage.public_key(file.storage_key)}
    return {"file": _file_members(file) | {"storage": place}}


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

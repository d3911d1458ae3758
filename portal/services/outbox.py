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


def record_files_uploaded(files, storage, *, owner=None):
    """Write `file.uploaded` for each of `files`, just STORED in `storage`; one statement.

    The event tells of the session that carried the file, or of the file itself if it came whole. `owner` is theirs, for
    a caller who has it at hand.
    """
    _insert_of_files("FILE_UPLOADED", files, lambda file: {"file": _stored_members(file, storage)}, owner)


def record_files_failed(files):
    """Write `file.failed` for each of `files`, which have just become FAILED; one statement.

    The event tells of the session that carried the file, or of the file itself if none did.
    """
    _insert_of_files("FILE_FAILED", files, lambda file: {"file": _file_members(file), "error": file.error})


def record_batch_completed(batch_id):
    """Write `batch.completed` for the batch, which has just got its `completed_at`."""
    batch = UploadBatch.objects.get(pk=batch_id)
    counters = ("total_files", "stored_count", "failed_count", "total_bytes", "stored_bytes")
    members = {"id": str(batch.pk), "name": batch.name, "status": batch.status}
    members |= {name: getattr(batch, name) for name in counters}
    members["completed_at"] = _rfc3339(batch.completed_at)
    told = {"owner_id": batch.owner_id, "subject_id": batch.pk, "batch_id": batch.pk, "file_id": None}
    _insert("BATCH_COMPLETED", [(told, {"batch": members})])


def _insert_of_files(kind, files, members_of, owner=None):
    actors, events = {owner.id: _actor(owner.id, owner.get_username())} if owner else {}, []
    for file in files:
        owner_id = file.owner_id
        if owner_id not in actors:
            actors[owner_id] = _actor(owner_id, _username_of(file))
        told = {"owner_id": owner_id, "batch_id": file.batch_id, "file_id": file.id}
        told["subject_id"] = file.session_id or file.id
        events.append((told, members_of(file) | {"actor": actors[owner_id]}))
    _insert(kind, events)


def _insert(kind, events):
    """Insert an event for each of `events`: what is told of it in columns, and the members of its payload."""
    event_type, now = OutboxEvent.Type[kind].value, timezone.now()
    same = {"event_type": event_type, "created_at": now, "seq": None}
    occurred_at, rows = _rfc3339(now), []
    for told, members in events:
        event_id = uuid7()
        head = {"event_type": event_type, "event_id": str(event_id), "occurred_at": occurred_at}
        rows.append(same | told | {"id": event_id, "payload": head | members})
    insert_values(OutboxEvent, rows)
    announce_events()


def _actor(user_id, username):
    return {"user_id": user_id, "username": username}


def _username_of(file):
    if IngestFile.owner.is_cached(file):
        return file.owner.get_username()
    ((name,),) = _USERNAME.rows(id=file.owner_id)
    return name


def _stored_members(file, storage):
    place = {"backend": file.storage_backend, "bucket": storage.bucket, "key": storage.public_key(file.storage_key)}
    return _file_members(file) | {"storage": place}


def _file_members(file):
    batch_id = file.batch_id
    return {
        "id": str(file.id),
        "batch_id": str(batch_id) if batch_id else None,
        "filename": file.original_filename,
        "path": file.path,
        "content_type": file.content_type,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256 or None,
    }


def _rfc3339(moment):
    return moment.isoformat().replace("+00:00", "Z")

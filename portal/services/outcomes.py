"""How a file ends: the transaction that moves session, file, event and counters together, exactly once."""

from copy import copy

from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from uuid_utils.compat import uuid7

from portal import metrics
from portal.models import IngestFile, UploadSession
from portal.models.prepared_rows import new_row
from portal.services import outbox
from portal.services.batches import TO_CARRY_ON, TO_JOIN, TO_REOPEN, refuse_overshoot, update_batch_counters
from portal.services.paths import choose_type
from portal.services.transactions import write_transaction
from portal.services.transitions import advance, advance_together, insert_stored
from portal.services.usage import move_usage

# After a StatusConflict, the rows in memory that were moved before it differ from those in the database.


def record_stored(session, *, sha256, storage, where):
    """Make the file of `session` STORED; raises StatusConflict when the claim in `where` is no longer ours.

    The bytes are durable at `session.object_key` before this is called.
    """
    record_stored_together([(session, sha256, where)], storage=storage)


def record_stored_together(outcomes, *, storage):
    """Do what `record_stored` does for several `(session, sha256, where)` of one batch, all or none, counted once."""
    files = [session.file for session, _, _ in outcomes]
    size = sum(file.size_bytes for file in files)
    with write_transaction():
        for session, _, where in outcomes:
            advance(session, UploadSession.Status.COMPLETE, where=where, claim_token=None, lease_until=None)
        for session, sha256, _ in outcomes:
            _store_file(session, sha256, storage)
        outbox.record_files_uploaded(files, storage)
        update_batch_counters(files[0].batch_id, stored=len(files), stored_bytes=size)
        taken = {"stored_files": len(files), "stored_bytes": size}
        move_usage(files[0].owner_id, **taken, open_sessions=-len(files), open_bytes=-size)
    metrics.count_stored(len(files), size)


def _store_file(session, sha256, storage):
    stored = {
        "sha256": sha256,
        "storage_backend": storage.backend,
        "storage_key": session.object_key,
        "stored_at": timezone.now(),
        "error": None,
    }
    for name, value in stored.items():
        setattr(session.file, name, value)
    advance(session.file, IngestFile.Status.STORED, **stored)


def record_failed(session, to, *, code, detail, where=None):
    """End `session` with status `to` and its file as FAILED with the error `code`; raises StatusConflict if it moved.

    The bytes stay where they are: from now on they are dead, and `cleanup` removes them.
    """
    record_failed_together([session], to, code=code, detail=detail, where=where)


def record_failed_together(sessions, to, *, code, detail, where=None):
    """Do what `record_failed` does for several sessions of one batch, all or none, and count them once."""
    error = {"code": code, "detail": detail}
    with write_transaction():
        advance_together(sessions, to, where=where, error=error, claim_token=None, lease_until=None)
        for session in sessions:
            session.file.error = session.error = error
        advance_together([session.file for session in sessions], IngestFile.Status.FAILED, error=error)
        outbox.record_files_failed([session.file for session in sessions])
        update_batch_counters(sessions[0].file.batch_id, failed=len(sessions))
        declared = sum(session.total_size_bytes for session in sessions)
        move_usage(sessions[0].owner_id, open_sessions=-len(sessions), open_bytes=-declared)
    metrics.count_failed(len(sessions))


def record_aborted(sessions):
    """End open sessions of one batch, all or none, as given up by their client; raises StatusConflict."""
    record_failed_together(sessions, UploadSession.Status.ABORTED, code="aborted", detail="The upload was given up.")


def record_given_up(files):
    """End EXPECTED files of one batch as FAILED with `aborted`, all or none; raises StatusConflict."""
    error = {"code": "aborted", "detail": "The batch was given up before the bytes came."}
    with write_transaction():
        for file in files:
            file.error = error
        advance_together(files, IngestFile.Status.FAILED, error=error)
        outbox.record_files_failed(files)
        update_batch_counters(files[0].batch_id, failed=len(files))
    metrics.count_failed(len(files))


def return_parts(claim, numbers):
    """Take parts off the record of the claimed session, which is open again: they are missing.

    For storages that let others write as well: what was acknowledged is not what they have now.
    """
    session = claim.session
    parts = session.parts.filter(number__in=numbers)
    disputed = sorted({*session.disputed_parts, *numbers})
    # The only part may stand at the key itself, or its upload be gone: it begins anew.
    upload = {"upload_id": ""} if session.total_parts == 1 else {}
    with write_transaction():
        gone = parts.aggregate(count=Count("pk"), size=Coalesce(Sum("size_bytes"), 0))
        advance(
            session,
            UploadSession.Status.IN_PROGRESS,
            where=claim.held,
            completed_parts=F("completed_parts") - gone["count"],
            received_bytes=F("received_bytes") - gone["size"],
            claim_token=None,
            lease_until=None,
            attempts=0,
            disputed_parts=disputed,
            **upload,
        )
        parts.delete()
    session.refresh_from_db(fields=["completed_parts", "received_bytes", "disputed_parts", "upload_id"])


def record_whole(owner, batch, arrivals, *, storage, keep=None):
    """Make the files of `arrivals` STORED, new ones or those that are carried on; return them, in order.

    Their bytes are durable. All or none: raises IntegrityError (a path was taken), StatusConflict (a FAILED file
    changed), Overshoot, QuotaExceeded, or what closes the batch. `keep(file)` runs in the transaction.
    """
    now = timezone.now()
    files = [_describe(arrival, owner, batch, storage.backend, now) for arrival in arrivals]
    pairs = list(zip(arrivals, files, strict=True))
    new = [file for arrival, file in pairs if not arrival.reopens]
    again = sorted((file for arrival, file in pairs if arrival.reopens), key=lambda file: file.pk)
    failed = [file for file in again if file.status == IngestFile.Status.FAILED]
    known_bytes = sum(arrival.reopens.size_bytes for arrival in arrivals if arrival.reopens)
    total_bytes = sum(file.size_bytes for file in files)
    with write_transaction():
        insert_stored(new)
        for file in again:
            _store_again(file)
        outbox.record_files_uploaded(files, storage, owner=owner)
        for file in files if keep else ():
            keep(file)
        if batch is not None:
            update_batch_counters(
                batch.id,
                total=len(new),
                stored=len(files),
                failed=-len(failed),
                total_bytes=total_bytes - known_bytes,
                stored_bytes=total_bytes,
                open_to=TO_JOIN if new else TO_REOPEN if failed else TO_CARRY_ON,
            )
            refuse_overshoot(batch, len(files))
        move_usage(owner.id, stored_files=len(files), stored_bytes=total_bytes)
    metrics.count_stored(len(files), total_bytes)
    return files


#: What an arrival says of its file.
_TOLD = ("original_filename", "content_type", "sha256")


def _describe(arrival, owner, batch, backend, now):
    """Return the row of the file as it will be: a new one, or a copy of the one that is carried on."""
    told = {name: getattr(arrival, name) for name in _TOLD}
    told |= {"owner_id": owner.id, "size_bytes": arrival.size, "error": None, "metadata": {}}
    told |= {"storage_backend": backend, "storage_key": arrival.key, "stored_at": now}
    if arrival.reopens:
        file = copy(arrival.reopens)
        told["content_type"] = choose_type(file, arrival.content_type)
        for name, value in told.items():
            setattr(file, name, value)
        return file
    told |= {"id": uuid7(), "batch_id": batch and batch.id, "session_id": None, "path": arrival.path}
    told |= {"declared_sha256": "", "status": IngestFile.Status.STORED, "status_at": now, "created_at": now}
    return new_row(IngestFile, told)


def _store_again(file):
    """Move an EXPECTED or FAILED file, described anew, to STORED by way of UPLOADING; no session carries it."""
    # If it was opened again and failed once more meanwhile, its size may be another than the one that was seen. And a
    # digest may have been told, which these bytes do not have.
    seen = {"session_id": file.session_id, "declared_sha256": file.declared_sha256}
    file.session_id = None
    names = (*_TOLD, "size_bytes", "error", "metadata", "storage_backend", "storage_key", "stored_at", "session_id")
    advance(file, IngestFile.Status.UPLOADING, where=seen, **{name: getattr(file, name) for name in names})
    advance(file, IngestFile.Status.STORED)

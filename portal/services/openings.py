"""What opening a session takes: its row, its staging file, and for many of them at once one transaction."""

import time

from django.db.models import Q
from django.utils import timezone

from portal.exceptions import StatusConflict, StorageUnavailable
from portal.models import IngestFile, UploadSession
from portal.services.batches import TO_CARRY_ON, update_batch_counters
from portal.services.limits import choose_chunk_size, count_parts, session_lifetime
from portal.services.space import refuse_when_full, storage_errors, storage_turn
from portal.services.transactions import write_transaction
from portal.services.transitions import advance
from portal.services.usage import move_usage, refuse_over_quota
from portal.storage.keys import object_key_of

#: Clean-up may take bytes that no row names after a day; an opening must be over long before.
OPENING_LIMIT_SECONDS = 3600


def new_session(caller, size, *, chunk_size, sha256=""):
    """Return the row of a session for a file of `size` bytes, not saved yet."""
    return UploadSession(
        owner=caller.user,
        chunk_size_bytes=chunk_size,
        total_parts=count_parts(size, chunk_size),
        total_size_bytes=size,
        declared_sha256=sha256,
        expires_at=timezone.now() + session_lifetime(),
    )


def make_staging(session, *, storage):
    """Make the staging file of `session`, durably; raises OutOfSpace, StorageUnavailable."""
    began = time.monotonic()
    refuse_when_full(storage)
    with storage_turn(storage), storage_errors():
        session.upload_id = storage.create_staging(session.staging_key, single=session.total_parts <= 1)
    if not storage.locks:
        # The bytes are at the place of the object from the first one on: the row must name it.
        session.object_key = object_key_of(session.staging_key)
    if time.monotonic() - began > OPENING_LIMIT_SECONDS:
        raise StorageUnavailable("The storage took too long to open the session; try again.")


def open_expected(caller, batch, file_ids, *, storage):
    """Open a session for each of these EXPECTED files of `batch`, in one transaction; return them by the file's id.

    All or none. Raises StatusConflict when one is no longer EXPECTED, BatchCancelled, QuotaExceeded, OutOfSpace,
    StorageUnavailable.
    """
    files = list(IngestFile.objects.filter(pk__in=file_ids, status=IngestFile.Status.EXPECTED).order_by("pk"))
    if len(files) < len(file_ids):
        raise StatusConflict("A file is not expected any more.")
    sessions, declared = {}, sum(file.size_bytes for file in files)
    refuse_over_quota(caller.user.pk, declared, sessions=len(files))
    for file in files:
        size, sha256 = file.size_bytes, file.declared_sha256
        session = new_session(caller, size, chunk_size=choose_chunk_size(size), sha256=sha256)
        session.file = file
        make_staging(session, storage=storage)
        sessions[file.pk] = session
    with write_transaction():
        UploadSession.objects.bulk_create(sessions.values())
        for file in files:
            seen = Q(session_id=file.session_id)
            advance(file, IngestFile.Status.UPLOADING, where=seen, session_id=sessions[file.pk].pk)
        update_batch_counters(batch.pk, open_to=TO_CARRY_ON)
        move_usage(caller.user.pk, open_sessions=len(files), open_bytes=declared)
    return sessions

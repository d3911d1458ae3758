"""What opening a session takes: its row, its staging file, and for many of them at once one transaction."""

import time
from concurrent.futures import ThreadPoolExecutor

from django.utils import timezone

from portal.exceptions import PortalError, StatusConflict, StorageUnavailable
from portal.models import IngestFile, UploadSession
from portal.services.batches import TO_CARRY_ON, update_batch_counters
from portal.services.limits import choose_chunk_size, count_parts, session_lifetime
from portal.services.space import refuse_when_full, storage_errors, storage_turn
from portal.services.transactions import write_transaction
from portal.services.transitions import advance_held, hold_rows
from portal.services.usage import find_over_quota, move_usage
from portal.storage.keys import object_key_of

#: Clean-up may take bytes that no row names after a day; an opening must be over long before.
OPENING_LIMIT_SECONDS = 3600
#: So many sessions are opened in one transaction, and so many of their staging files made at once.
GROUP, OPENERS = 250, 8
EXPECTED = IngestFile.Status.EXPECTED


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
    with storage_turn(storage):
        _make_place(session, storage)
    _refuse_late(began)


def _make_place(session, storage):
    with storage_errors():
        session.upload_id = storage.create_staging(session.staging_key, single=session.total_parts <= 1)
    if not storage.locks:
        # The bytes are at the place of the object from the first one on: the row must name it.
        session.object_key = object_key_of(session.staging_key)


def _refuse_late(began):
    if time.monotonic() - began > OPENING_LIMIT_SECONDS:
        raise StorageUnavailable("The storage took too long to open the session; try again.")


def open_declared(caller, batch, entries, *, storage, keep=None):
    """Give each of `entries` that is to be uploaded, and has none, a session, or the error that keeps it from one.

    Each names its EXPECTED file by `file_id`; of two that name the same the second resumes. `keep()` runs in the
    transaction of the last block; returns whether it did. Raises StatusConflict when a file is not EXPECTED any more,
    QuotaExceeded when somebody else took the room, or what closes the batch: then the block that it happened to has no
    sessions, and those before have.
    """
    by_file = {}
    for entry in entries:
        if entry.action == "upload" and entry.session is None:
            by_file.setdefault(entry.file_id, []).append(entry)
    ids, kept = list(by_file), False
    for start in range(0, len(ids), GROUP):
        block = {pk: by_file[pk] for pk in ids[start : start + GROUP]}
        kept = _open_together(caller, batch, block, storage, keep if start + GROUP >= len(ids) else None)
    return kept


def _open_together(caller, batch, block, storage, keep):
    files = IngestFile.objects.in_bulk(block)
    if any(pk not in files or files[pk].status != EXPECTED for pk in block):
        raise StatusConflict
    # Not all may have room: the first ones have it.
    refused = find_over_quota(caller.user.pk, {pk: files[pk].size_bytes for pk in block})
    opened, errors = _make_places(caller, [files[pk] for pk in block if pk not in refused], storage)
    _refuse(block, refused | errors)
    if not opened:
        return False
    try:
        with write_transaction():
            _record(opened)
            for session in opened:
                _settle(block[session.file_id], session)
            if keep:
                keep()
            update_batch_counters(batch.pk, open_to=TO_CARRY_ON)
            size = sum(session.total_size_bytes for session in opened)
            move_usage(caller.user.pk, open_sessions=len(opened), open_bytes=size)
    except BaseException:
        for session in opened:
            for entry in block[session.file_id]:
                entry.action, entry.session = "upload", None
        raise
    return keep is not None


def _refuse(block, errors):
    for pk, error in errors.items():
        for entry in block[pk]:
            entry.action, entry.error = "", error


def _settle(entries, session):
    first, *others = entries
    first.session = session
    for entry in others:
        entry.action, entry.session = "resume", session


def _record(opened):
    files = hold_rows(IngestFile, [session.file_id for session in opened])
    told = [(session.file_id, EXPECTED, session.total_size_bytes, session.declared_sha256) for session in opened]
    # FAILED ones may be opened again too, but are counted otherwise.
    if {(file.pk, file.status, file.size_bytes, file.declared_sha256) for file in files} != set(told):
        raise StatusConflict("A file was deleted, opened or declared anew at this moment.")
    ids = {session.file_id: session.pk for session in opened}
    advance_held(files, IngestFile.Status.UPLOADING, each=("session_id", ids))
    UploadSession.objects.bulk_create(opened)


def _make_places(caller, files, storage):
    """Return the sessions of `files` whose staging files are durable, and `{file id: error}` of the others."""

    def make(file):
        try:
            chunk_size = choose_chunk_size(file.size_bytes)
            session = new_session(caller, file.size_bytes, chunk_size=chunk_size, sha256=file.declared_sha256)
            session.file = file
            _make_place(session, storage)
        except PortalError as error:
            return error
        return session

    began = time.monotonic()
    try:
        refuse_when_full(storage)
        with storage_turn(storage), ThreadPoolExecutor(OPENERS, thread_name_prefix="portal-open") as threads:
            outcomes = dict(zip((file.pk for file in files), threads.map(make, files), strict=True))
        _refuse_late(began)
    except PortalError as error:
        return [], {file.pk: error for file in files}
    errors = {pk: outcome for pk, outcome in outcomes.items() if isinstance(outcome, PortalError)}
    return [outcome for pk, outcome in outcomes.items() if pk not in errors], errors

"""Declare files: they become EXPECTED, and each is answered with what is to be done to have it stored."""

from django.db import IntegrityError

from portal.exceptions import Conflict, IdempotencyInProgress, PortalError, QuotaExceeded, StatusConflict
from portal.models import IngestFile, UploadSession
from portal.services.batches import TO_JOIN, TO_REOPEN, update_batch_counters
from portal.services.entries import Wanted
from portal.services.known_bytes import may_be_known, store_known
from portal.services.openings import open_declared
from portal.services.transactions import write_transaction
from portal.services.transitions import advance, insert_expected, tell_digest

Status = IngestFile.Status

#: How often entries are looked at anew whose paths change at the same time.
TRIES = 5
#: By the status that the file has in the end.
ACTIONS = {Status.EXPECTED: "upload", Status.UPLOADING: "resume", Status.STORED: "stored"}


def declare_files(caller, batch, entries, *, storage, open_sessions=False, keep=None):
    """Give each of `entries` its action: "upload", "resume" or "stored"; or an error, and the others go on.

    What is new or FAILED becomes EXPECTED, all in one transaction with one move of the counters; a digest that was not
    known yet is put on record. `open_sessions` opens a session for each that is to be uploaded. At most a few thousand
    entries: they are held in memory. `keep()` runs in the last transaction, when each has its action or its error.
    """
    kept, known = False, may_be_known(caller, entries)
    for _ in range(TRIES):
        try:
            pending = [entry for entry in entries if entry.pending]
            kept = _declare(caller, batch, pending, None if open_sessions or known else keep)
            if known:
                known = False
                store_known(caller, batch, entries, storage=storage)
            if open_sessions:
                kept = open_declared(caller, batch, entries, storage=storage, keep=keep)
            break
        except IdempotencyInProgress:
            raise
        except (IntegrityError, Conflict, QuotaExceeded):
            # Somebody else came to a path, or took the room, or closed the batch first: the next look says so for each.
            _forget(entries, opening=open_sessions)
    for entry in entries:
        if entry.pending:
            entry.error = StatusConflict("This path keeps changing; declare it again.")
    if keep and not kept:
        with write_transaction():
            keep()


def _forget(entries, *, opening):
    """Take back the actions that did not come to pass."""
    for entry in entries:
        if opening and entry.action == "upload" and entry.session is None:
            entry.action = ""


def _declare(caller, batch, entries, keep):
    """Decide on `entries` and record what that changes; return whether `keep` ran, in the transaction of it."""
    batch.refresh_from_db()
    files = {file.path: file for file in batch.files.filter(path__in=[entry.path for entry in entries])}
    sessions = _sessions_of(files.values())
    on_paths, joining = {}, 0
    for entry in entries:
        wanted = on_paths.get(entry.path)
        try:
            if wanted:
                wanted.decide_repeated(entry)
            else:
                file = files.get(entry.path)
                wanted = on_paths[entry.path] = Wanted(entry, file, file and sessions.get(file.session_id))
                wanted.decide(batch, joining=joining)
                joining += file is None
        except PortalError as error:
            entry.error = error
    changes = [wanted for wanted in on_paths.values() if wanted.entry.error is None]

    def settle():
        for entry in entries:
            if entry.error is None:
                wanted = on_paths[entry.path]
                entry.action, entry.file_id = ACTIONS[wanted.file.status], wanted.file.pk
                entry.session = wanted.session if entry.action == "resume" else None

    try:
        return _record(caller, batch, changes, settle, keep)
    except BaseException:
        for entry in entries:
            entry.action = ""
        raise


def _record(caller, batch, changes, settle, keep):
    """Insert new files, move FAILED ones back, tell digests, count: together or not at all; return whether `keep` ran.

    `settle()` is called when all is as it will be.
    """
    told = [wanted for wanted in changes if wanted.tells_digest]
    again = [wanted for wanted in changes if wanted.file and wanted.file.status == Status.FAILED]
    new = [wanted for wanted in changes if wanted.file is None]
    if not (told or again or new):
        settle()
        return False
    gained = sum(w.entry.size for w in new) + sum(w.entry.size - w.file.size_bytes for w in again)
    for wanted in new:
        wanted.file = IngestFile(owner=caller.user, batch=batch, path=wanted.entry.path, **wanted.describe())
    with write_transaction():
        for wanted in sorted((w for w in told if w.session), key=lambda wanted: wanted.session.pk):
            tell_digest(wanted.session, wanted.sha256)
        insert_expected([wanted.file for wanted in new])
        for wanted in sorted(again + told, key=lambda wanted: wanted.file.pk):
            _change(wanted)
        settle()
        if keep:
            keep()
        if new or again:
            open_to = TO_JOIN if new else TO_REOPEN
            counted = {"total": len(new), "failed": -len(again), "total_bytes": gained}
            update_batch_counters(batch.pk, **counted, open_to=open_to)
    return keep is not None


def _change(wanted):
    file = wanted.file
    if file.status == Status.FAILED:
        # If it was opened again and failed once more meanwhile, its size may be another than the one that was seen.
        seen = {"session_id": file.session_id}
        advance(file, Status.EXPECTED, where=seen, error=None, session_id=None, **wanted.describe())
    else:
        tell_digest(file, wanted.sha256)


def _sessions_of(files):
    """Return the sessions by which files are being uploaded, by id; raises StatusConflict when one has just ended."""
    carried = {file.session_id for file in files if file.status == Status.UPLOADING}
    sessions = UploadSession.objects.alive().in_bulk(carried)
    if len(sessions) < len(carried):
        raise StatusConflict
    return sessions

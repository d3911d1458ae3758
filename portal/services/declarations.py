"""Declare files: they become EXPECTED, and each is answered with what is to be done to have it stored."""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q

from portal.exceptions import Conflict, NotFound, PathTaken, PortalError, QuotaExceeded, StatusConflict
from portal.models import IngestFile, UploadSession
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.services.batches import TO_JOIN, TO_REOPEN, refuse_closed, update_batch_counters
from portal.services.limits import choose_chunk_size
from portal.services.openings import open_expected
from portal.services.paths import OPEN_TO
from portal.services.sessions import create_session
from portal.services.transactions import write_transaction
from portal.services.transitions import advance, insert_expected

Status = IngestFile.Status

#: How often entries are looked at anew whose paths change at the same time.
TRIES = 5
#: So many sessions are opened in one transaction.
GROUP = 100


@dataclass
class Entry:
    """A file that is declared; `size` in bytes. Afterwards it has an `action`, or the `error` that rejected it."""

    path: str | None
    size: int = 0
    sha256: str = ""
    content_type: str = DEFAULT_CONTENT_TYPE
    error: PortalError | None = None
    action: str = ""
    file_id: UUID | None = None
    #: What it is uploaded by, if that is open.
    session: UploadSession | None = None

    @property
    def pending(self):
        """Whether it has neither an action nor an error yet."""
        return self.error is None and not self.action


def declare_files(caller, batch, entries, *, storage, open_sessions=False):
    """Give each of `entries` its action: "upload", "resume" or "stored"; or an error, and the others go on.

    What is new or FAILED becomes EXPECTED, all in one transaction with one move of the counters. `open_sessions` opens
    a session for each that is to be uploaded. At most a few thousand entries: they are held in memory.
    """
    for _ in range(TRIES):
        try:
            _declare(caller, batch, [entry for entry in entries if entry.pending])
            break
        except (IntegrityError, Conflict):
            # Somebody else came to one of the paths first, or the batch was closed: the next look says so for each.
            continue
    for entry in entries:
        if entry.pending:
            entry.error = StatusConflict("This path keeps changing; declare it again.")
    wanted = [entry for entry in entries if open_sessions and entry.action == "upload"]
    for start in range(0, len(wanted), GROUP):
        _open_sessions(caller, batch, wanted[start : start + GROUP], storage)


def _declare(caller, batch, entries):
    batch.refresh_from_db()
    files = {file.path: file for file in batch.files.filter(path__in=[entry.path for entry in entries])}
    sessions = _sessions_of(files.values())
    first, again = {}, []
    for entry in entries:
        try:
            if first.setdefault(entry.path, entry) is not entry:
                _decide_repeated(entry, first[entry.path])
                continue
            _decide(entry, files.get(entry.path), batch)
        except PortalError as error:
            entry.error = error
    wanted = [entry for entry in first.values() if entry.error is None]
    new = [_expected_file(caller, batch, entry) for entry in wanted if entry.path not in files]
    again = [(files[entry.path], entry) for entry in wanted if entry.path in files]
    _record(batch, new, [pair for pair in again if pair[0].status == Status.FAILED])
    files |= {file.path: file for file in new}
    for entry in entries:
        if entry.error is None:
            file = files[entry.path]
            entry.action, entry.file_id = ACTIONS[file.status], file.pk
            entry.session = sessions.get(file.session_id) if entry.action == "resume" else None


def _sessions_of(files):
    """Return the sessions by which files are being uploaded, by id; raises StatusConflict when one has just ended."""
    carried = {file.session_id for file in files if file.status == Status.UPLOADING}
    going_on = (*UploadSession.OPEN, UploadSession.Status.FINALIZING)
    sessions = UploadSession.objects.filter(status__in=going_on).in_bulk(carried)
    if len(sessions) < len(carried):
        raise StatusConflict
    return sessions


#: By the status that the file has in the end.
ACTIONS = {Status.EXPECTED: "upload", Status.UPLOADING: "resume", Status.STORED: "stored"}


def _decide(entry, file, batch):
    """Raise what keeps `entry` from being declared: the `file` on its path, its size, or the batch."""
    if file is None or file.status == Status.FAILED:
        choose_chunk_size(entry.size)
        refuse_closed(batch, TO_REOPEN if file else TO_JOIN)
    elif not file.is_declared_as(entry.size, entry.sha256):
        raise PathTaken("This path has a file of another size or SHA-256.")
    elif file.status == Status.EXPECTED:
        refuse_closed(batch, OPEN_TO[file.status])


def _decide_repeated(entry, first):
    if first.error:
        raise first.error
    if entry.size != first.size or (entry.sha256 and first.sha256 and entry.sha256 != first.sha256):
        raise PathTaken("This path was declared before with another size or SHA-256.")


def _expected_file(caller, batch, entry):
    return IngestFile(owner=caller.user, batch=batch, path=entry.path, **_described(entry))


def _described(entry):
    return {
        "original_filename": entry.path.rpartition("/")[2][-255:],
        "content_type": entry.content_type,
        "size_bytes": entry.size,
        "declared_sha256": entry.sha256,
    }


def _record(batch, new, again):
    """Insert the new files and move the FAILED ones back, with the counters: together or not at all."""
    if not new and not again:
        return
    gained = sum(file.size_bytes for file in new) + sum(entry.size - file.size_bytes for file, entry in again)
    with write_transaction():
        insert_expected(new)
        for file, entry in sorted(again, key=lambda pair: pair[0].pk):
            # If it was opened again and failed once more meanwhile, its size may be another than the one that was seen.
            seen = Q(session_id=file.session_id)
            advance(file, Status.EXPECTED, where=seen, error=None, session_id=None, **_described(entry))
        update_batch_counters(
            batch.pk,
            total=len(new),
            failed=-len(again),
            total_bytes=gained,
            open_to=TO_JOIN if new else TO_REOPEN,
        )


def _open_sessions(caller, batch, entries, storage):
    try:
        opened = open_expected(caller, batch, {entry.file_id for entry in entries}, storage=storage)
        for entry in entries:
            entry.session = opened[entry.file_id]
    except (Conflict, QuotaExceeded):
        # Somebody else came to one of them first, or not all have room: each for itself.
        for entry in entries:
            _open_session(caller, batch, entry, storage)
    except PortalError as error:
        for entry in entries:
            entry.action, entry.error = "", error


def _open_session(caller, batch, entry, storage):
    try:
        entry.session = create_session(
            caller,
            original_filename=entry.path.rpartition("/")[2][-255:],
            total_size_bytes=entry.size,
            storage=storage,
            batch_id=batch.pk,
            path=entry.path,
            sha256=entry.sha256,
        )
    except (PathTaken, NotFound):
        # Somebody else has opened one, or deleted the file, since.
        entry.action = ""
        declare_files(caller, batch, [entry], storage=storage)
    except PortalError as error:
        entry.action, entry.error = "", error

"""Upload sessions: open one, look at it, abort it."""

from django.db import IntegrityError

from portal import access
from portal.exceptions import NotFound, PathTaken, SessionClosed, StatusConflict
from portal.models import IngestFile, UploadPart, UploadSession
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.models.prepared_rows import find_row, insert_rows
from portal.services.batches import TO_JOIN, refuse_closed, update_batch_counters
from portal.services.limits import choose_chunk_size
from portal.services.openings import make_staging, new_session
from portal.services.outcomes import record_aborted
from portal.services.pages import read_page
from portal.services.paths import OPEN_TO, choose_type, matches
from portal.services.transactions import write_transaction
from portal.services.transitions import advance
from portal.services.usage import move_usage, refuse_over_quota

EXPECTED, FAILED = IngestFile.Status.EXPECTED, IngestFile.Status.FAILED


def create_session(
    caller,
    *,
    original_filename,
    total_size_bytes,
    storage,
    content_type=DEFAULT_CONTENT_TYPE,
    batch_id=None,
    path=None,
    sha256="",
    chunk_size_bytes=None,
    metadata=None,
    keep=None,
):
    """Open a file and its session, or carry on an EXPECTED or FAILED file of this path.

    `keep(session)` runs in the transaction. Sizes are bytes. Raises FileTooLarge, NotFound (the batch), PathTaken,
    BatchCompleted, OutOfSpace, QuotaExceeded.
    """
    chunk_size = choose_chunk_size(total_size_bytes, chunk_size_bytes)
    batch = access.get_batch(caller, batch_id) if batch_id else None
    file = _file_on_path(batch, path, total_size_bytes, sha256)
    if batch:
        refuse_closed(batch, OPEN_TO[file.status] if file else TO_JOIN)
    declared = file.declared_sha256 if file and file.status == EXPECTED else ""
    session = new_session(caller, total_size_bytes, chunk_size=chunk_size, sha256=sha256 or declared)
    # 1 The staging file is durable before the row that names it; parts never create it.
    refuse_over_quota(caller.user.pk, total_size_bytes, sessions=1, joins=None if file else batch)
    make_staging(session, storage=storage)
    # 2 File, session, kept answer, counters: together or not at all.
    described = {
        "original_filename": original_filename,
        "content_type": content_type,
        "size_bytes": total_size_bytes,
        "metadata": metadata or {},
    }
    try:
        with write_transaction():
            session.file, counts = _join(caller, session, file, batch, path, described)
            insert_rows([session])
            if keep:
                keep(session)
            update_batch_counters(batch.pk if batch else None, **counts)
            move_usage(caller.user.pk, open_sessions=1, open_bytes=total_size_bytes)
    except (IntegrityError, StatusConflict) as error:
        # Somebody else took the path between the look and the transaction.
        if batch is None or path is None:
            raise
        raise PathTaken from error
    return session


def _file_on_path(batch, path, size, sha256):
    """Return the file that has `path` in `batch` and that may be carried on, None if the path is free.

    Raises PathTaken for any other file, and for an EXPECTED one that was declared with another size or digest.
    """
    if batch is None or path is None:
        return None
    file = find_row(IngestFile, batch_id=batch.pk, path=path)
    if file and (file.status not in OPEN_TO or not matches(file, size, sha256)):
        raise PathTaken
    return file


def _join(caller, session, file, batch, path, described):
    """Insert the file, or move the one that is carried on; return it and what the batch's counters gain."""
    described |= {"session_id": session.pk, "declared_sha256": session.declared_sha256}
    size = described["size_bytes"]
    if file is None:
        file = IngestFile(owner=caller.user, batch=batch, path=path, **described)
        insert_rows([file])
        return file, {"total": 1, "total_bytes": size, "open_to": TO_JOIN}
    was, gained = file.status, size - file.size_bytes
    described["content_type"] = choose_type(file, described["content_type"])
    fields = {"error": None, **described}
    # If it was opened again and failed once more meanwhile, its size may be another than the one that was seen. And a
    # digest may have been told, which the session would not ask for.
    seen = {"session_id": file.session_id, "declared_sha256": file.declared_sha256}
    advance(file, IngestFile.Status.UPLOADING, where=seen, **fields)
    vars(file).update(fields)
    return file, {"failed": -int(was == FAILED), "total_bytes": gained, "open_to": OPEN_TO[was]}


def list_sessions(caller, fields, *, status=None, **page):
    """Return a Page of the caller's sessions, newest first, each with its ranges as `received_parts`.

    `fields` has `id`, `total_parts` and `completed_parts` among others. Two queries, however many sessions.
    """
    rows = access.sessions_of(caller)
    found = read_page(rows.filter(status=status) if status else rows, fields, newest_first=True, **page)
    begun = [row["id"] for row in found.rows if 0 < row["completed_parts"] < row["total_parts"]]
    ranges = _ranges_by_session(begun)
    for row in found.rows:
        whole = row["completed_parts"] and row["completed_parts"] == row["total_parts"]
        row["received_parts"] = [[1, row["total_parts"]]] if whole else ranges.get(row["id"], [])
    return found


def received_ranges(session):
    """Return the part numbers on record as ranges `[[first, last], …]`; one query, at most 10,000 numbers."""
    return _ranges_by_session([session.pk]).get(session.pk, [])


def _ranges_by_session(ids):
    """Return `{id: ranges}` of those sessions that have parts; the numbers stream past, the ranges alone are held."""
    found = {}
    if not ids:
        return found
    parts = UploadPart.objects.filter(session_id__in=ids).order_by("session_id", "number")
    for pk, number in parts.values_list("session_id", "number").iterator():
        ranges = found.setdefault(pk, [])
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return found


def missing_ranges(received, total_parts):
    """Return the ranges of part numbers in 1..total_parts that are not in `received`."""
    missing, expected = [], 1
    for first, last in received:
        if first > expected:
            missing.append([expected, first - 1])
        expected = last + 1
    if expected <= total_parts:
        missing.append([expected, total_parts])
    return missing


def still_missing(session):
    """Return the ranges of part numbers that are not on record; one query."""
    return missing_ranges(received_ranges(session), session.total_parts)


def read_again(session):
    """Read `session` and its file anew, in one look; raises NotFound when the file was deleted meanwhile."""
    try:
        session.refresh_from_db(from_queryset=UploadSession.objects.select_related("file"))
    except UploadSession.DoesNotExist as error:
        raise NotFound from error
    if session.file is None:
        raise NotFound


def abort_session(session):
    """Give up an open session: the file is FAILED with `aborted`; again on an ABORTED one does nothing.

    Raises SessionClosed when it is finalizing or has ended otherwise, NotFound when its file was deleted.
    The bytes are for `cleanup` to remove.
    """
    # A part that lands moves INIT to IN_PROGRESS under us: look again, the second look is final.
    for _ in range(3):
        if session.status == UploadSession.Status.ABORTED:
            return
        if session.status not in UploadSession.OPEN:
            break
        try:
            record_aborted([session])
            return
        except StatusConflict:
            read_again(session)
    raise SessionClosed

"""What the calls of sessions make of the model, and what they may be answered with; so does the worker's round."""

from tests.stateful.model import TO_BRING, TO_JOIN, TO_REOPEN, File, digest_of
from tests.stateful.outcomes import LOST, MISSING, UNDONE, Told, refused, told
from tests.stateful.sessions import Session


def open_session(model, luck, batch, path, name, size, sha256):
    """POST /uploads/sessions, with the name as Idempotency-Key."""
    if any(session.name == name for session in model.sessions):
        return told(200)
    batch = batch if batch is None else model.batches[batch]
    file, reasons = model.file_on(batch, path) if batch else None, set()
    if file is None:
        reasons = batch.closed(TO_JOIN) if batch else set()
    elif file.status not in ("FAILED", "EXPECTED") or (
        file.status == "EXPECTED" and not file.is_declared_as(size, sha256)
    ):
        reasons = {"path_taken"} | batch.closed(TO_JOIN)
    else:
        reasons = batch.closed(TO_REOPEN if file.status == "FAILED" else TO_BRING)
    if reasons:
        return refused(reasons)
    if not luck():
        return UNDONE
    if file is None:
        model.files.append(file := File(batch, path if batch else None, name, size, "UPLOADING"))
    declared = sha256 or (file.declared if file.status == "EXPECTED" else "")
    bring(model, file, name, size, declared)
    return told(201)


def bring(model, file, name, size, declared):
    """Let a session bring a file from now on."""
    file.status, file.name, file.size, file.declared, file.error = "UPLOADING", name, size, declared, None
    model.sessions.append(Session(file, name, declared))


def find_reasons(session, number):
    """Return what is wrong with asking for this part, whatever comes with it."""
    reasons = set() if session.open else {"session_closed"}
    return reasons if 1 <= number <= session.total_parts else reasons | {"part_out_of_range"}


def put_part(model, luck, session, number, data, harm):
    """PUT a part; `harm` is what is wrong with the body itself."""
    session = model.sessions[session]
    if session.gone:
        return MISSING
    reasons = find_reasons(session, number) | ({harm} if harm else set())
    if "part_out_of_range" in reasons:
        return refused(reasons)
    if len(data) != session.part_size(number):
        reasons.add("wrong_part_size")
    elif session.parts.get(number, data) != data:
        reasons.add("part_conflict")
    if reasons:
        return refused(reasons)
    if number not in session.parts:
        if not luck():
            return UNDONE
        session.record(number, data)
    return told(200)


def _finalize(model, luck, session):
    """Return `(status, code)` of one finalize, or None when it came to nothing."""
    if session.open and len(session.parts) < session.total_parts:
        session.pick_up()
    if session.open and len(session.parts) < session.total_parts:
        return 400, "missing_parts"
    if session.open and session.drop_changed():
        # It was claimed before its bytes were looked at, which is a sign of life as well.
        session.overdue = False
        return 400, "missing_parts"
    if session.open:
        if not luck():
            return None
        data = b"".join(session.parts[number] for number in sorted(session.parts))
        if session.declared not in ("", digest_of(data)):
            model.fail(session.file, "sha256_mismatch", session, "FAILED")
        else:
            session.status, session.overdue = "COMPLETE", False
            model.store(session.file, data)
    if session.status == "COMPLETE":
        return 200, None
    return (422, "sha256_mismatch") if session.status == "FAILED" else (409, "session_closed")


def finalize(model, luck, session):
    """POST finalize: where something failed on the way, 202 is right as well, and the worker ends it."""
    session = model.sessions[session]
    if session.gone:
        return MISSING
    was_open = session.open
    answer = _finalize(model, luck, session)
    if answer is None:
        return UNDONE
    later = {(202, None)} if luck.faulty and was_open else set()
    return Told(frozenset({answer, *later, *({(409, "session_closed")} if answer[0] == 422 else ())}))


def finalize_many(model, luck, batch, sessions):
    """POST finalize of many."""
    items = []
    begun = {number for number in sessions if model.sessions[number].open}
    for number in sessions:
        session = model.sessions[number]
        if session.gone or session.file.batch is not model.batches[batch]:
            items.append({("REJECTED", "not_found")})
            continue
        answer = _finalize(model, luck, session)
        word = {("STORED", None)} if answer and answer[0] == 200 else {("REJECTED", answer and answer[1])}
        items.append(
            LOST if answer is None else word | ({("FINALIZING", None)} if luck.faulty and number in begun else set())
        )
        if answer and answer[0] == 422:
            items[-1].add(("REJECTED", "session_closed"))
    return told(200, items=items)


def abort(model, luck, session):
    """DELETE a session."""
    session = model.sessions[session]
    if session.gone:
        return MISSING
    if session.open:
        if not luck():
            return UNDONE
        model.fail(session.file, "aborted", session, "ABORTED")
    return told(204) if session.status == "ABORTED" else told(409, "session_closed")


def work(model, luck):
    """The worker's round: what was left alone has expired."""
    for session in model.sessions:
        if session.open and session.overdue and not session.gone:
            model.fail(session.file, "expired", session, "EXPIRED")
    return told(200)

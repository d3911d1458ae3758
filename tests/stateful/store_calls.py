"""What the calls about parts that go past the portal make of the model, where the storage offers that."""

from tests.stateful.outcomes import MISSING, refused, told
from tests.stateful.session_calls import find_reasons


def _refusal(session, number):
    """Return what is told of a part that cannot go past the portal; None when it can."""
    if session.gone:
        return MISSING
    reasons = find_reasons(session, number)
    return refused(reasons) if reasons else None


def presign(model, _luck, session, number):
    """POST presign of one part; `session.urls` has whose URL is still good for something."""
    session = model.sessions[session]
    if answer := _refusal(session, number):
        return answer
    if number not in session.parts:
        session.urls[number], session.overdue = session.upload, False
    return told(200)


def send(model, session, number, data):
    """PUT to a URL that was given for a part: the store takes it as long as the upload is there; return whether."""
    session = model.sessions[session]
    taken = session.open and not session.gone and session.urls[number] == session.upload
    if taken:
        session.sent[number] = data
    return taken


def report(model, _luck, session, number, named):
    """POST complete of a part; `named` are the bytes whose ETag goes with it, or None."""
    session = model.sessions[session]
    if answer := _refusal(session, number):
        return answer
    if number in session.parts:
        return told(200) if named in (None, session.parts[number]) else told(409, "part_conflict")
    if number not in session.sent:
        return told(400, "missing_parts")
    if (named is None and number in session.disputed) or named not in (None, session.sent[number]):
        return told(409, "part_conflict")
    session.record(number, session.sent[number])
    return told(200)

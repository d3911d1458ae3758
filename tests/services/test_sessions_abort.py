"""Abort: an open session is given up, once; what is being finalized or has ended stays as it is."""

import pytest

from portal.exceptions import SessionClosed
from portal.models import OutboxEvent
from portal.services import cleanup
from portal.services.claims import claim_session
from portal.services.sessions import abort_session
from tests.samples import CHUNK, make_batch, open_session, ready_session, send_part, store_file
from tests.services.situations import counters, drift, event_types, let_lifetime_end, session_row


def test_an_aborted_session_fails_its_file(ann, storage):
    session = open_session(ann, storage, batch=(batch := make_batch(ann)))
    abort_session(session)
    session = session_row(session)
    assert (session.status, session.error["code"]) == ("ABORTED", "aborted")
    assert (session.file.status, session.file.error) == ("FAILED", session.error)
    assert counters(batch) == (1, 0, 1, 0)
    event = OutboxEvent.objects.get()
    assert (event.event_type, event.payload["error"]["code"]) == ("file.failed", "aborted")


def test_a_session_with_parts_can_be_aborted(ann, storage):
    session = ready_session(ann, storage)
    abort_session(session)
    assert session_row(session).status == "ABORTED"


def test_aborting_twice_is_aborting_once(ann, storage):
    session = open_session(ann, storage, batch=(batch := make_batch(ann)))
    stale = session_row(session)
    abort_session(session)
    abort_session(session)
    abort_session(session_row(session))
    abort_session(stale)
    assert (counters(batch), event_types()) == ((1, 0, 1, 0), ["file.failed"])
    assert drift() == []


def test_a_session_that_is_being_finalized_cannot_be_aborted(ann, storage):
    session = ready_session(ann, storage)
    stale = session_row(session)
    claim_session(session)
    for seen in (session_row(session), stale):
        with pytest.raises(SessionClosed):
            abort_session(seen)
    assert session_row(session).status == "FINALIZING"
    assert event_types() == []


def test_a_complete_session_cannot_be_aborted(ann, storage):
    file = store_file(ann, storage, batch=(batch := make_batch(ann)))
    with pytest.raises(SessionClosed):
        abort_session(file.sessions.get())
    file.refresh_from_db()
    assert (file.status, counters(batch)) == ("STORED", (1, 1, 0, 0))


def test_an_expired_session_cannot_be_aborted(ann, storage):
    session = let_lifetime_end(open_session(ann, storage))
    cleanup.expire_sessions(storage=storage)
    with pytest.raises(SessionClosed):
        abort_session(session)
    assert session_row(session).file.error["code"] == "expired"


def test_a_part_that_lands_meanwhile_does_not_keep_a_session_from_being_aborted(ann, storage):
    session = open_session(ann, storage, size=2 * CHUNK)
    stale = session_row(session)
    send_part(ann, storage, session, 1, bytes(CHUNK))
    abort_session(stale)
    assert session_row(session).status == "ABORTED"


def test_the_bytes_of_an_aborted_session_are_dead(ann, storage):
    session = ready_session(ann, storage)
    abort_session(session)
    assert session.staging_key in storage.files["staging"]
    assert cleanup.remove_dead_bytes(storage=storage) == 1
    assert not storage.files["staging"]

"""Parts: what is refused before the body, where bytes go, and that a part counts once."""

import contextlib

import pytest
from blake3 import blake3

from portal import exceptions
from portal.access import READ
from portal.services.claims import claim_session
from portal.services.part_records import list_parts
from portal.services.parts import begin_part
from portal.services.sessions import abort_session
from tests.samples import CHUNK, make_caller, open_session, pattern, ready_session, send_part
from tests.services.situations import failing, progress, session_row, staged


@pytest.fixture
def session(ann, storage):
    """An open session of three parts, the last of 100 bytes."""
    return open_session(ann, storage, size=2 * CHUNK + 100)


def test_a_part_is_answered_with_its_number_size_and_digest(ann, storage, session):
    data = pattern(CHUNK)
    assert send_part(ann, storage, session, 2, data) == {
        "part_number": 2,
        "size_bytes": CHUNK,
        "digest": {"algorithm": "blake3", "value": blake3(data).hexdigest()},
    }
    assert progress(session) == (1, 1, CHUNK)
    assert session_row(session).status == "IN_PROGRESS"


def test_what_is_written_is_hashed_by_its_range_alone(ann, storage, session):
    writer = begin_part(ann, session.pk, 3, 100, storage=storage)
    writer._blake3 = None
    with contextlib.closing(writer):
        writer.acquire()
        writer.write(b"x" * 100)
        writer.sync()
        assert writer.record()["digest"]["value"] == blake3(b"x" * 100).hexdigest()


def test_parts_come_in_any_order_and_lie_where_they_belong(ann, storage, session):
    data = pattern(2 * CHUNK + 100)
    for number in (3, 1, 2):
        send_part(ann, storage, session, number, data[(number - 1) * CHUNK : number * CHUNK])
    assert staged(storage, session) == data
    assert progress(session) == (3, 3, len(data))
    rows = list_parts(session, ["number", "size_bytes"]).rows
    assert [(row["number"], row["size_bytes"]) for row in rows] == [(1, CHUNK), (2, CHUNK), (3, 100)]


@pytest.mark.parametrize(("number", "size"), [(1, CHUNK - 1), (1, CHUNK + 1), (2, 100), (3, CHUNK), (3, 99), (3, 0)])
def test_a_wrong_size_is_refused(ann, storage, session, number, size):
    with pytest.raises(exceptions.WrongPartSize) as refused:
        begin_part(ann, session.pk, number, size, storage=storage)
    assert refused.value.extra == {"expected_size_bytes": CHUNK if number < 3 else 100}


@pytest.mark.parametrize("number", [0, -1, 4, 10_001, 2**70])
def test_a_number_outside_the_grid_is_refused(ann, storage, session, number):
    with pytest.raises(exceptions.PartOutOfRange):
        begin_part(ann, session.pk, number, CHUNK, storage=storage)


def test_a_session_without_parts_takes_none(ann, storage):
    with pytest.raises(exceptions.PartOutOfRange):
        begin_part(ann, open_session(ann, storage, size=0).pk, 1, 0, storage=storage)


def test_the_session_of_somebody_else_is_not_found(bob, storage, session):
    with pytest.raises(exceptions.NotFound):
        begin_part(bob, session.pk, 1, CHUNK, storage=storage)


def test_without_the_scope_upload_nothing_is_sent(ann, storage, session):
    with pytest.raises(exceptions.InsufficientScope):
        begin_part(make_caller("ann", READ), session.pk, 1, CHUNK, storage=storage)


@pytest.mark.parametrize("end", [abort_session, claim_session], ids=["aborted", "finalizing"])
def test_a_session_that_is_not_open_takes_no_part(ann, storage, end):
    session = ready_session(ann, storage)
    end(session)
    with pytest.raises(exceptions.SessionClosed):
        begin_part(ann, session.pk, 1, 4, storage=storage)


def test_a_part_sent_twice_counts_once(ann, storage, session):
    data = pattern(CHUNK)
    assert send_part(ann, storage, session, 1, data) == send_part(ann, storage, session, 1, data)
    assert progress(session) == (1, 1, CHUNK)


def test_a_part_sent_again_is_compared_without_a_look_at_the_storage(ann, storage, session, monkeypatch, settings):
    data = pattern(CHUNK)
    answer = send_part(ann, storage, session, 1, data)
    monkeypatch.setattr(storage, "open_part", failing(AssertionError("the storage was touched")))
    settings.PORTAL_MIN_FREE_BYTES = 2**60  # not even when it is full
    assert send_part(ann, storage, session, 1, data) == answer


def test_other_bytes_for_a_part_are_a_conflict_and_the_first_stay(ann, storage, session):
    data = pattern(CHUNK)
    send_part(ann, storage, session, 1, data)
    with pytest.raises(exceptions.PartConflict):
        send_part(ann, storage, session, 1, pattern(CHUNK, seed=1))
    assert staged(storage, session)[:CHUNK] == data
    assert progress(session) == (1, 1, CHUNK)

"""The order in which a part is written: the lock, the look under it, the fence, and a COMMIT without an answer."""

import pytest
from blake3 import blake3

from portal import exceptions
from portal.models import UploadPart
from portal.services import part_records, parts
from portal.services.claims import claim_session
from portal.services.files import delete_file
from portal.services.parts import begin_part
from portal.services.sessions import abort_session
from portal.services.transactions import write_transaction
from portal.services.transitions import record_part_in
from tests.samples import CHUNK, open_session, pattern, send_part
from tests.services.situations import just_after, just_before, progress, session_row, staged

FIRST, SECOND = pattern(CHUNK, seed=1), pattern(CHUNK, seed=2)


@pytest.fixture
def session(ann, storage):
    """An open session of three parts."""
    return open_session(ann, storage, size=3 * CHUNK)


@pytest.fixture
def begin(ann, storage, session):
    """`begin(number)` gives a writer of one part; all are closed at the end."""
    writers = []

    def begin(number=1):
        writers.append(begin_part(ann, session.pk, number, CHUNK, storage=storage))
        return writers[-1]

    yield begin
    for writer in writers:
        writer.close()


def finish(writer, data):
    """Write, sync and record; return the part's answer."""
    writer.write(data)
    writer.sync()
    return writer.record()


def die_after_writing(writer, data):
    """Leave bytes in the range as a process does that is killed before its COMMIT."""
    assert writer.acquire()
    writer.write(data)
    writer.sync()
    writer.close()


def land_commit(session, number, data):
    """Put a part on record: the COMMIT that an earlier writer had sent before it died."""
    with write_transaction():
        UploadPart.objects.create(
            session_id=session.pk, number=number, size_bytes=len(data), blake3=blake3(data).hexdigest()
        )
        record_part_in(session.pk, size=len(data), lifetime=part_records.session_lifetime())


def test_a_range_that_another_writer_holds_is_busy_and_its_neighbour_is_free(begin):
    first, second = begin(), begin()
    assert first.acquire()
    assert not second.acquire()
    assert begin(2).acquire()
    first.close()
    assert second.acquire()


def test_a_writer_that_waited_does_not_overwrite_an_acknowledged_part(storage, session, begin):
    first, second = begin(), begin()
    first.acquire()
    assert not second.acquire()
    finish(first, FIRST)
    first.close()
    assert second.acquire()
    assert second.recorded
    with pytest.raises(exceptions.PartConflict):
        finish(second, SECOND)
    assert staged(storage, session)[:CHUNK] == FIRST
    # The look under the lock was enough; the fence is for parts without a row.
    assert session_row(session).fence == 0


def test_a_writer_that_waited_for_the_same_bytes_counts_nothing(session, begin):
    first, second = begin(), begin()
    first.acquire()
    answer = finish(first, FIRST)
    first.close()
    assert second.acquire()
    assert finish(second, FIRST) == answer
    assert progress(session) == (1, 1, CHUNK)


def test_a_writer_that_finds_the_part_recorded_gives_the_range_up_before_it_reads_the_body(begin):
    first, second, third = begin(), begin(), begin()
    first.acquire()
    finish(first, FIRST)
    first.close()
    second.acquire()
    assert not second.place.range.locked
    assert third.acquire()


CLOSINGS = {
    "aborted": lambda session, storage: abort_session(session),
    "deleted": lambda session, storage: delete_file(session.file, storage=storage),
}


@pytest.mark.parametrize("way", CLOSINGS)
def test_a_session_that_closed_before_the_lock_takes_no_bytes(storage, session, begin, way):
    writer = begin()
    CLOSINGS[way](session, storage)
    with pytest.raises(exceptions.SessionClosed):
        writer.acquire()


def test_a_session_that_closed_before_the_lock_is_closed_though_its_bytes_are_there_still(storage, session, begin):
    writer = begin()
    abort_session(session)
    with pytest.raises(exceptions.SessionClosed):
        writer.acquire()
    assert staged(storage, session) == b""


@pytest.mark.parametrize("way", CLOSINGS)
def test_a_session_that_closes_under_the_writer_records_nothing(storage, session, begin, way):
    writer = begin()
    writer.acquire()
    CLOSINGS[way](session_row(session), storage)
    with pytest.raises(exceptions.SessionClosed):
        finish(writer, FIRST)
    assert not UploadPart.objects.exists()


def test_parts_are_frozen_once_finalize_has_begun(ann, storage, session, begin):
    writer = begin(3)
    writer.acquire()
    for number in (1, 2, 3):
        land_commit(session, number, FIRST)
    claim_session(session_row(session))
    with pytest.raises(exceptions.PartConflict):
        finish(writer, SECOND)
    assert progress(session) == (3, 3, 3 * CHUNK)


def test_a_first_write_raises_no_fence(ann, storage, session):
    for number in (2, 1, 3):
        send_part(ann, storage, session, number, FIRST)
    assert session_row(session).fence == 0


def test_data_without_a_row_raises_the_fence_and_is_written_over(storage, session, begin):
    die_after_writing(begin(), FIRST)
    writer = begin()
    assert writer.acquire()
    assert session_row(session).fence == 1
    finish(writer, SECOND)
    assert staged(storage, session)[:CHUNK] == SECOND
    assert progress(session) == (1, 1, CHUNK)


def test_data_of_a_neighbour_raises_no_fence(session, begin):
    die_after_writing(begin(2), FIRST)
    assert begin(1).acquire()
    assert begin(3).acquire()
    assert session_row(session).fence == 0


def test_a_commit_that_lands_before_the_fence_is_seen_behind_it(storage, session, begin, monkeypatch):
    die_after_writing(begin(), FIRST)
    writer = begin()
    just_before(monkeypatch, parts, "raise_fence", lambda: land_commit(session, 1, FIRST))
    assert writer.acquire()
    assert writer.recorded
    assert not writer.place.range.locked
    with pytest.raises(exceptions.PartConflict):
        finish(writer, SECOND)
    assert staged(storage, session)[:CHUNK] == FIRST


@pytest.mark.parametrize("moment", [just_before, just_after])
def test_a_session_that_closes_at_the_fence_takes_no_bytes(session, begin, monkeypatch, moment):
    die_after_writing(begin(), FIRST)
    writer = begin()
    moment(monkeypatch, parts, "raise_fence", lambda: abort_session(session_row(session)))
    with pytest.raises(exceptions.SessionClosed):
        writer.acquire()
    assert not writer.recorded

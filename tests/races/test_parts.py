"""Parts that meet each other, an abort, or the end of their session; through the services."""

import pytest

from portal.models import UploadSession
from portal.services.cleanup import expire_sessions, remove_bytes
from portal.services.sessions import abort_session
from tests.races.promises import assert_counted, assert_kept
from tests.races.racing import A_PART_SECONDS, fresh, put_part, refusals
from tests.rounds import rounds
from tests.samples import CHUNK, make_batch, open_session, pattern
from tests.services.situations import let_lifetime_end

pytestmark = pytest.mark.django_db(transaction=True)
Status = UploadSession.Status


def putting(caller, storage, session, number, data):
    """Return a contender that stores one part."""
    return lambda: put_part(caller, storage, session, number, data)


def test_one_part_by_three_writers_is_of_one_of_them(ann, storage, root, race):
    batch, bodies = make_batch(ann), [pattern(CHUNK, n) for n in range(3)]
    for _ in range(rounds(300)):
        session = open_session(ann, storage, size=CHUNK + 1, batch=batch)
        results = race(*(putting(ann, storage, session, 1, body) for body in bodies))
        assert refusals(results) == ["part_conflict"] * 2
        winner = next(n for n, result in enumerate(results) if isinstance(result, dict))
        row = assert_kept(session, root)
        assert (row.completed_parts, row.received_bytes) == (1, CHUNK)
        assert (root / "staging" / row.staging_key).read_bytes() == bodies[winner]


def test_one_part_sent_three_times_at_once_counts_once(ann, storage, root, race):
    batch, body = make_batch(ann), pattern(CHUNK)
    for _ in range(rounds(300)):
        session = open_session(ann, storage, size=CHUNK + 1, batch=batch)
        first, second, third = race(*[putting(ann, storage, session, 1, body)] * 3)
        assert first == second == third
        assert assert_kept(session, root).completed_parts == 1


def test_neighbours_do_not_meet(ann, storage, root, race):
    data = pattern(8 * CHUNK - 1)
    for _ in range(rounds(100)):
        session = open_session(ann, storage, size=len(data))
        race(*(putting(ann, storage, session, n + 1, data[n * CHUNK :][:CHUNK]) for n in range(8)))
        row = assert_kept(session, root)
        assert (row.completed_parts, row.received_bytes) == (8, len(data))
        assert (root / "staging" / row.staging_key).read_bytes() == data


def test_abort_against_a_part_always_aborts(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(300)
    for turn in range(times):
        session = open_session(ann, storage, size=3000, batch=batch)

        def abort(session=session):
            abort_session(fresh(ann, session))
            remove_bytes(session, storage=storage)

        part, aborted = race(putting(ann, storage, session, 1, pattern(3000, turn)), abort, behind=A_PART_SECONDS)
        assert aborted is None
        row = assert_kept(session, root)
        assert row.status == Status.ABORTED
        # What was acknowledged came before the abort; the answer tells which.
        assert row.completed_parts == isinstance(part, dict)
        assert isinstance(part, dict) or part.code == "session_closed"
    assert_counted(batch, total_files=times, failed_count=times, stored_count=0)


def test_expiry_against_a_part_ends_the_session_or_records_the_part(ann, storage, root, race):
    batch, expired_times = make_batch(ann), 0
    times = rounds(300)
    for turn in range(times):
        session = open_session(ann, storage, size=CHUNK + 3000, batch=batch)
        if turn % 2:
            # Where a part is on record already, another one moves the end of the session and no status.
            put_part(ann, storage, session, 1, pattern(CHUNK))
        let_lifetime_end(session)
        put = putting(ann, storage, session, 2, pattern(3000, turn))
        part, expired = race(put, lambda: expire_sessions(storage=storage), behind=A_PART_SECONDS)
        row = assert_kept(session, root)
        if expired:
            assert (row.status, part.code) == (Status.EXPIRED, "session_closed")
        else:
            assert (row.status, part["part_number"]) == (Status.IN_PROGRESS, 2)
        expired_times += expired
    assert_counted(batch, total_files=times, failed_count=expired_times, stored_count=0)


def test_expiry_against_abort_ends_the_session_once(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(300)
    for _ in range(times):
        session = open_session(ann, storage, size=3000, batch=batch)
        let_lifetime_end(session)
        aborted, expired = race(
            lambda session=session: abort_session(fresh(ann, session)), lambda: expire_sessions(storage=storage)
        )
        assert (aborted is None) == (expired == 0)
        remove_bytes(session, storage=storage)
        assert assert_kept(session, root).status == (Status.EXPIRED if expired else Status.ABORTED)
    assert_counted(batch, total_files=times, failed_count=times)

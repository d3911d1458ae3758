"""Finalizes that meet: of two files of a batch, of one session, of many files at once."""

from itertools import chain

import pytest

from portal.models import IngestFile, OutboxEvent
from portal.services.claims import claim_session
from portal.services.finalize import finalize_again, finalize_session
from tests.races.promises import assert_counted, assert_kept
from tests.races.racing import fresh, put_part
from tests.rounds import rounds
from tests.samples import CHUNK, make_batch, open_session, pattern, ready_session
from tests.services.situations import let_lease_end

pytestmark = pytest.mark.django_db(transaction=True)


def finalizing(caller, storage, session):
    """Return a contender that finalizes the session."""
    return lambda: finalize_session(fresh(caller, session), storage=storage)


def test_two_files_of_one_batch_finalized_at_once_both_count(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(300)
    for turn in range(times):
        sessions = [ready_session(ann, storage, pattern(2000, (turn, n)), batch=batch) for n in range(2)]
        files = race(*(finalizing(ann, storage, session) for session in sessions))
        assert [file.status for file in files] == [IngestFile.Status.STORED] * 2
        for session in sessions:
            assert_kept(session, root)
    assert_counted(batch, stored_count=2 * times, failed_count=0, total_files=2 * times, stored_bytes=4000 * times)


def test_the_last_two_files_at_once_complete_the_batch_once(ann, storage, race):
    for turn in range(rounds(500)):
        batch = make_batch(ann, expected_files=2)
        sessions = [ready_session(ann, storage, pattern(20, (turn, n)), batch=batch) for n in range(2)]
        race(*(finalizing(ann, storage, session) for session in sessions))
        assert_counted(batch, stored_count=2, total_files=2, status="COMPLETE")
        told = OutboxEvent.objects.get(event_type="batch.completed", subject_id=batch.pk).payload["batch"]
        assert (told["stored_count"], told["stored_bytes"]) == (2, 40)


def test_one_session_finalized_twice_at_once_is_stored_once(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(300)
    for turn in range(times):
        session = ready_session(ann, storage, pattern(2000, turn), batch=batch)
        first, second = race(*[finalizing(ann, storage, session)] * 2)
        assert (first.pk, first.sha256) == (second.pk, second.sha256)
        assert_kept(session, root)
    assert_counted(batch, stored_count=times, total_files=times, stored_bytes=2000 * times)
    assert OutboxEvent.objects.count() == times


def test_sixty_four_files_of_one_batch_by_sixteen_threads(ann, storage, root, race):
    batch = make_batch(ann, expected_files=64)

    def store_four(lane):
        sessions = []
        for n in range(4):
            data = pattern(CHUNK + 100 * n, (lane, n))
            session = open_session(ann, storage, size=len(data), batch=batch, path=f"{lane}/{n}")
            put_part(ann, storage, session, 1, data[:CHUNK])
            if n:
                put_part(ann, storage, session, 2, data[CHUNK:])
            assert finalize_session(fresh(ann, session), storage=storage).status == IngestFile.Status.STORED
            sessions.append(session)
        return sessions

    lanes = race(*(lambda lane=lane: store_four(lane) for lane in range(16)))
    for session in chain(*lanes):
        assert_kept(session, root)
    size = 64 * CHUNK + 16 * 600
    assert_counted(batch, stored_count=64, failed_count=0, total_files=64, stored_bytes=size, status="COMPLETE")
    assert OutboxEvent.objects.filter(event_type="batch.completed").count() == 1


def test_a_dead_finalizers_claim_is_taken_up_by_one(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(300)
    for turn in range(times):
        session = ready_session(ann, storage, pattern(2000, turn), batch=batch)
        claim_session(session)
        let_lease_end(session)

        def work():
            return finalize_again(storage=storage)

        *worked, file = race(work, work, finalizing(ann, storage, session))
        assert file.status == IngestFile.Status.STORED
        assert sum(worked) <= 1
        assert_kept(session, root)
    assert_counted(batch, stored_count=times, total_files=times)

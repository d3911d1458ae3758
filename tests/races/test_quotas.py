"""Sixteen at the limit of a quota: as many get through as there is room for, not one more and not one less."""

import pytest

from portal.models import IngestFile, OwnerUsage, UploadSession
from portal.services.arrivals import Arrival
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from portal.services.usage import find_usage_drift, fix_usage
from portal.services.whole_files import begin_files
from tests.races.racing import fresh, refusals
from tests.rounds import rounds
from tests.samples import make_batch, open_session, ready_session

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 16


def opening(caller, storage, **fields):
    """Return a contender that opens a session."""
    return lambda: open_session(caller, storage, **fields)


def putting(caller, storage, batch, path, data):
    """Return a contender that hands in a whole file, past the look that comes before the body."""

    def put():
        group = begin_files(caller, batch.pk, storage=storage)
        arrival = Arrival(path=path, original_filename="a", content_type="x/y")
        arrival.write(data, storage=storage)
        group.add(arrival)
        group.store()
        group.judge()
        group.record()
        group.close()
        return arrival.error or arrival.file

    return put


def assert_taken(caller, **counters):
    """The owner's row says so, and so do the rows."""
    assert {name: getattr(OwnerUsage.objects.get(owner=caller.user), name) for name in counters} == counters
    assert list(find_usage_drift()) == []


def test_sixteen_open_sessions_at_the_limit_and_none_is_too_many(ann, storage, race, settings):
    settings.PORTAL_QUOTA_OPEN_SESSIONS = 5
    for _ in range(rounds(100) // 4):
        results = race(*(opening(ann, storage) for _ in range(CLIENTS)))
        assert refusals(results) == ["quota_exceeded"] * (CLIENTS - 5)
        assert_taken(ann, open_sessions=5, open_bytes=5)
        for session in UploadSession.objects.open().select_related("file__owner"):
            abort_session(session)
        assert_taken(ann, open_sessions=0, open_bytes=0)


def test_sixteen_files_at_the_limit_of_bytes_however_they_come(ann, storage, race, settings):
    settings.PORTAL_QUOTA_BYTES = 1000
    batch = make_batch(ann)
    for turn in range(rounds(100) // 4):
        contenders = [opening(ann, storage, size=90) for _ in range(CLIENTS // 2)]
        contenders += [putting(ann, storage, batch, f"{turn}/{n}", b"x" * 90) for n in range(CLIENTS // 2)]
        results = race(*contenders)
        assert refusals(results) == ["quota_exceeded"] * (CLIENTS - 11)
        row = OwnerUsage.objects.get(owner=ann.user)
        assert row.stored_bytes + row.open_bytes == 990
        for session in UploadSession.objects.open().select_related("file__owner"):
            abort_session(session)
        IngestFile.objects.filter(status="STORED").update(status="FAILED")
        fix_usage(ann.user.pk)
        assert_taken(ann, stored_bytes=0, open_bytes=0)


def test_sixteen_files_into_a_batch_that_takes_five_more(ann, storage, race, settings):
    settings.PORTAL_QUOTA_BATCH_FILES = 5
    for _ in range(rounds(100) // 4):
        batch = make_batch(ann)
        contenders = [opening(ann, storage, batch=batch, path=f"s/{n}") for n in range(CLIENTS // 2)]
        contenders += [putting(ann, storage, batch, f"w/{n}", b"x") for n in range(CLIENTS // 2)]
        assert refusals(race(*contenders)) == ["quota_exceeded"] * (CLIENTS - 5)
        batch.refresh_from_db()
        assert batch.total_files == batch.files.count() == 5


def test_openings_against_finalizes_aborts_and_a_recount(ann, storage, race, settings):
    settings.PORTAL_QUOTA_BYTES = 10**6
    for turn in range(rounds(100) // 2):
        ready = [ready_session(ann, storage, b"1234") for _ in range(2)]
        still_open = open_session(ann, storage, size=7)
        race(
            *(lambda session=session: finalize_session(fresh(ann, session), storage=storage) for session in ready),
            lambda session=still_open: abort_session(fresh(ann, session)),
            lambda: open_session(ann, storage, size=3),
            lambda: fix_usage(ann.user.pk),
        )
        assert_taken(ann, stored_bytes=8 * (turn + 1), open_sessions=turn + 1, open_bytes=3 * (turn + 1))


def test_the_first_sixteen_of_an_owner_make_one_row(ann, storage, race):
    for _ in range(rounds(100) // 4):
        UploadSession.objects.all().delete()
        OwnerUsage.objects.all().delete()
        assert refusals(race(*(opening(ann, storage) for _ in range(CLIENTS)))) == []
        assert_taken(ann, open_sessions=CLIENTS)

"""Files that come whole and meet on one path: one winner, exact counters, no bytes of the losers."""

import hashlib

import pytest

from portal.exceptions import PortalError
from portal.models import IngestFile, OutboxEvent, UploadBatch, UploadSession
from portal.services.arrivals import Arrival
from portal.services.batches import create_batch
from portal.services.seals import seal_batch
from portal.services.sessions import abort_session
from portal.services.whole_files import begin_files
from tests.races.promises import assert_counted, files_below
from tests.races.racing import refusals
from tests.rounds import rounds
from tests.samples import make_batch, open_session

pytestmark = pytest.mark.django_db(transaction=True)


def putting(caller, storage, batch, *members):
    """Return a contender that stores `(path, data)` pairs as one group, as the byte door does; it gives arrivals."""

    def put():
        group = begin_files(caller, batch.pk, storage=storage)
        arrivals = []
        for path, data in members:
            arrival = Arrival(path=path, original_filename="a", content_type="x/y", length=len(data))
            group.add(arrival)
            if len(members) == 1:
                group.refuse_early(arrival)
            arrival.write(data, storage=storage)
            arrivals.append(arrival)
        if len(members) > 1 or arrivals[0].compared:
            group.look()
        group.store()
        group.judge()
        group.record()
        group.close()
        if len(members) == 1 and arrivals[0].error:
            raise arrivals[0].error
        return arrivals

    return put


def files_of(results):
    """Return the ids of the files that the contenders got."""
    return {arrival.file.pk for result in results if not isinstance(result, PortalError) for arrival in result}


def assert_bytes(storage, root):
    """Each STORED file has its bytes, its one event, and there is nothing besides."""
    stored = list(IngestFile.objects.filter(status="STORED"))
    for file in stored:
        data = (root / "objects" / file.storage_key).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)
    assert sorted(OutboxEvent.objects.filter(event_type="file.uploaded").values_list("file_id", flat=True)) == sorted(
        file.pk for file in stored
    )
    live = UploadSession.objects.filter(status__in=UploadSession.OPEN)
    names = [file.storage_key.rpartition("/")[2] for file in stored] + [session.pk.hex for session in live]
    assert files_below(root) == sorted(names)


def test_the_same_bytes_at_once_are_one_file(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(200)
    for turn in range(times):
        results = race(*(putting(ann, storage, batch, (str(turn), b"same")) for _ in range(3)))
        assert refusals(results) == []
        assert len(files_of(results)) == 1
    assert_counted(batch, total_files=times, stored_count=times, stored_bytes=4 * times)
    assert_bytes(storage, root)


def test_other_bytes_at_once_have_one_winner(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(200)
    for turn in range(times):
        results = race(*(putting(ann, storage, batch, (str(turn), data)) for data in (b"one", b"two")))
        assert refusals(results) == ["path_taken"]
    assert_counted(batch, total_files=times, stored_count=times, stored_bytes=3 * times)
    assert_bytes(storage, root)


def test_a_whole_file_against_a_session_on_its_path(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(200)
    for turn in range(times):
        opening = lambda path=str(turn): open_session(ann, storage, size=10, batch=batch, path=path)  # noqa: E731
        assert refusals(race(putting(ann, storage, batch, (str(turn), b"data")), opening)) == ["path_taken"]
    assert_counted(batch, total_files=times, failed_count=0)


def test_a_failed_file_is_opened_again_by_one(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(200)
    for turn in range(times):
        session = open_session(ann, storage, size=10, batch=batch, path=str(turn))
        abort_session(session)
        storage.remove_staging(session.staging_key)
        results = race(*(putting(ann, storage, batch, (str(turn), data)) for data in (b"one", b"three")))
        assert refusals(results) == ["path_taken"]
        assert files_of(results) == {session.file_id}
    assert_counted(batch, total_files=times, stored_count=times, failed_count=0)
    assert_bytes(storage, root)


def test_groups_of_the_same_paths_in_other_orders_lose_no_file_and_count_each_once(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(100)
    for turn in range(times):
        members = [(f"{turn}/{n}", bytes([n])) for n in range(8)]
        results = race(putting(ann, storage, batch, *members), putting(ann, storage, batch, *members[::-1]))
        assert [arrival.error for result in results for arrival in result] == [None] * 16
        assert len(files_of(results)) == 8
    assert_counted(batch, total_files=8 * times, stored_count=8 * times)
    assert_bytes(storage, root)


def test_whole_files_against_the_seal_of_their_batch(ann, storage, root, race):
    for _ in range(rounds(200)):
        batch = create_batch(ann)
        seal = lambda batch=batch: seal_batch(batch)  # noqa: E731
        members = [(str(n), b"data") for n in range(4)]
        arrivals, _ = race(putting(ann, storage, batch, *members), seal)
        outcomes = {arrival.error and arrival.error.code for arrival in arrivals}
        assert outcomes in ({None}, {"batch_sealed"}, {"batch_completed"})
        joined = 4 * (outcomes == {None})
        assert_counted(batch, total_files=joined, stored_count=joined)
        assert UploadBatch.objects.get(pk=batch.pk).completed_at
    assert_bytes(storage, root)


def test_no_more_join_than_a_batch_expects(ann, storage, root, race):
    for _ in range(rounds(200)):
        batch = create_batch(ann, expected_files=3)
        groups = [[(f"{n}/{m}", b"data") for m in range(3)] for n in range(2)]
        results = race(*(putting(ann, storage, batch, *members) for members in groups))
        codes = sorted(str(arrival.error and arrival.error.code) for result in results for arrival in result)
        assert codes == ["None"] * 3 + ["batch_completed"] * 3
        assert_counted(batch, total_files=3, stored_count=3)
    assert_bytes(storage, root)

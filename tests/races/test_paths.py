"""Openings that meet on one path of a batch."""

import pytest

from portal import access
from portal.models import IngestFile, UploadSession
from portal.services.cleanup import remove_bytes
from portal.services.files import delete_file
from portal.services.sessions import abort_session
from tests.races.promises import assert_counted, assert_kept
from tests.races.racing import refusals
from tests.rounds import rounds
from tests.samples import make_batch, open_session

pytestmark = pytest.mark.django_db(transaction=True)


def opening(caller, storage, batch, path, size):
    """Return a contender that opens a session on the path."""
    return lambda: open_session(caller, storage, size=size, batch=batch, path=path)


def failed_file(caller, storage, batch, path, size=10):
    """Return the aborted session of a FAILED file on the path."""
    session = open_session(caller, storage, size=size, batch=batch, path=path)
    abort_session(session)
    remove_bytes(session, storage=storage)
    return session


def test_two_openings_on_one_path_make_one_file(ann, storage, root, race):
    batch, times = make_batch(ann), rounds(300)
    for turn in range(times):
        results = race(*(opening(ann, storage, batch, f"a/{turn}", 10) for _ in range(2)))
        assert refusals(results) == ["path_taken"]
        (session,) = (result for result in results if isinstance(result, UploadSession))
        assert_kept(session, root)
    assert_counted(batch, total_files=times, total_bytes=10 * times, failed_count=0)
    assert UploadSession.objects.count() == times


def test_two_openings_of_one_failed_file_open_it_once(ann, storage, root, race):
    batch, total_bytes, times = make_batch(ann), 0, rounds(300)
    for turn in range(times):
        failed = failed_file(ann, storage, batch, f"a/{turn}")
        results = race(*(opening(ann, storage, batch, f"a/{turn}", size) for size in (20, 30)))
        assert refusals(results) == ["path_taken"]
        (session,) = (result for result in results if isinstance(result, UploadSession))
        assert session.file_id == failed.file_id
        assert_kept(session, root)
        assert_kept(failed, root)
        total_bytes += session.total_size_bytes
    assert_counted(batch, total_files=times, total_bytes=total_bytes, failed_count=0)


def test_opening_a_failed_file_against_its_delete(ann, storage, root, race):
    batch, left = make_batch(ann), 0
    # One more FAILED file: without it a count that is one too low would be refused by the database.
    failed_file(ann, storage, batch, "other")
    for turn in range(rounds(300)):
        failed = failed_file(ann, storage, batch, f"a/{turn}")

        def delete(file_id=failed.file_id):
            delete_file(access.get_own_file(ann, file_id), storage=storage)

        opened, deleted = race(opening(ann, storage, batch, f"a/{turn}", 20), delete)
        if isinstance(opened, UploadSession) and opened.file_id == failed.file_id:
            # Deleted after it was opened again, or not at all.
            assert deleted is None or deleted.code == "file_busy"
        elif not isinstance(opened, UploadSession):
            assert (opened.code, deleted) == ("path_taken", None)
        left += IngestFile.objects.filter(path=f"a/{turn}").count()
    assert_counted(batch, total_files=left + 1, failed_count=1, total_bytes=20 * left + 10)
    assert UploadSession.objects.filter(file__isnull=True).count() == 0

"""The same files declared at once, and declared while they come: one row a path, one session, counters exact."""

import pytest

from portal.exceptions import PortalError
from portal.models import IngestFile, UploadBatch, UploadSession
from portal.services.cancels import cancel_batch
from portal.services.declarations import declare_files
from portal.services.entries import Entry
from tests.races.promises import assert_counted
from tests.races.test_whole_files import putting
from tests.rounds import rounds
from tests.samples import make_batch, open_session

pytestmark = pytest.mark.django_db(transaction=True)

PATHS = [str(number) for number in range(4)]


def declaring(caller, storage, batch, paths=PATHS, **options):
    """Return a contender that declares files of 4 bytes; it gives their entries."""

    def declare():
        entries = [Entry(path, 4) for path in paths]
        declare_files(caller, UploadBatch.objects.get(pk=batch.pk), entries, storage=storage, **options)
        return entries

    return declare


def test_two_that_declare_the_same_get_the_same_files(ann, storage, race):
    for _ in range(rounds(200)):
        batch = make_batch(ann)
        both = race(declaring(ann, storage, batch), declaring(ann, storage, batch, PATHS[::-1]))
        ids = [{entry.path: entry.file_id for entry in entries} for entries in both]
        assert ids[0] == ids[1]
        assert {entry.action for entries in both for entry in entries} == {"upload"}
        assert_counted(batch, total_files=4, total_bytes=16)


def test_two_that_open_sessions_get_one_for_each_file(ann, storage, race):
    for _ in range(rounds(100)):
        batch = make_batch(ann)
        both = race(*(declaring(ann, storage, batch, open_sessions=True) for _ in range(2)))
        sessions = {entry.session.pk for entries in both for entry in entries}
        assert sessions == set(UploadSession.objects.filter(file__batch=batch).values_list("pk", flat=True))
        assert len(sessions) == 4
        assert_counted(batch, total_files=4)


def test_a_file_that_is_declared_while_it_comes_is_one_file(ann, storage, race):
    for _ in range(rounds(200)):
        batch = make_batch(ann)
        members = [(path, b"data") for path in PATHS]
        entries, arrivals, opened = race(
            declaring(ann, storage, batch),
            putting(ann, storage, batch, *members),
            lambda batch=batch: open_session(ann, storage, size=4, batch=batch, path="0"),
        )
        assert all(entry.action for entry in entries)
        assert {arrival.error.code for arrival in arrivals if arrival.error} <= {"path_taken"}
        assert isinstance(opened, PortalError) != bool(arrivals[0].error)
        assert_counted(batch, total_files=4, stored_count=4 - isinstance(arrivals[0].error, PortalError))


def test_a_cancel_leaves_nothing_expected(ann, storage, race):
    for _ in range(rounds(200)):
        batch = make_batch(ann)
        declaring(ann, storage, batch, PATHS[:2])()
        race(
            declaring(ann, storage, batch),
            putting(ann, storage, batch, ("0", b"data")),
            lambda batch=batch: cancel_batch(UploadBatch.objects.get(pk=batch.pk), storage=storage),
        )
        assert not IngestFile.objects.filter(batch=batch, status__in=["EXPECTED", "UPLOADING"]).exists()
        assert_counted(batch)

"""Known bytes that are declared while their file is deleted, or their batch cancelled: no row without bytes."""

import hashlib

import pytest

from portal.models import IngestFile, UploadBatch
from portal.services.cancels import cancel_batch
from portal.services.declarations import declare_files
from portal.services.entries import Entry
from portal.services.files import delete_file
from tests.races.promises import assert_counted
from tests.races.test_whole_files import assert_bytes, putting
from tests.rounds import rounds
from tests.samples import make_batch

pytestmark = pytest.mark.django_db(transaction=True)

SHA256 = hashlib.sha256(b"data").hexdigest()
PATHS = "abc"


def declaring(caller, storage, batch, paths=PATHS, **options):
    """Return a contender that declares files with the bytes `data`; it gives their actions."""

    def declare():
        entries = [Entry(path, 4, SHA256) for path in paths]
        declare_files(caller, UploadBatch.objects.get(pk=batch.pk), entries, storage=storage, **options)
        return [entry.action for entry in entries]

    return declare


def known_file(caller, storage):
    """Return a STORED file of these bytes."""
    (arrival,) = putting(caller, storage, make_batch(caller), ("known", b"data"))()
    return IngestFile.objects.get(pk=arrival.file.pk)


def test_a_delete_of_the_first_leaves_each_stored_or_to_be_uploaded(ann, storage, root, race):
    for _ in range(rounds(200)):
        first, batch = known_file(ann, storage), make_batch(ann)
        actions, _ = race(
            declaring(ann, storage, batch), lambda first=first: delete_file(first, storage=storage), behind=0.02
        )
        assert set(actions) <= {"upload", "stored"}
        assert_counted(batch, total_files=3, stored_count=actions.count("stored"))
        for file in IngestFile.objects.filter(status="STORED"):
            assert (root / "objects" / file.storage_key).read_bytes() == b"data"
            delete_file(file, storage=storage)
        assert not [path for path in (root / "objects").rglob("*") if path.is_file()]


def test_two_that_declare_the_same_store_each_once(ann, storage, root, race):
    known_file(ann, storage)
    for _ in range(rounds(100)):
        batch = make_batch(ann)
        race(declaring(ann, storage, batch), declaring(ann, storage, batch, PATHS[::-1]))
        assert_counted(batch, total_files=3, stored_count=3)
    assert_bytes(storage, root)


def test_an_upload_and_a_cancel_beside_it_leave_one_outcome_each(ann, storage, root, race):
    known_file(ann, storage)
    for _ in range(rounds(100)):
        batch = make_batch(ann)
        race(
            declaring(ann, storage, batch),
            putting(ann, storage, batch, ("a", b"data")),
            lambda batch=batch: cancel_batch(UploadBatch.objects.get(pk=batch.pk), storage=storage),
        )
        assert not IngestFile.objects.filter(batch=batch, status__in=["EXPECTED", "UPLOADING"]).exists()
        assert_counted(batch)
    assert_bytes(storage, root)

"""Reading back: what a disk or a restore has changed is found, and nothing else is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from portal.models import IngestFile, UploadSession
from portal.services import verify
from portal.services.files import delete_file
from portal.services.verify import count_stored, verify_named, verify_sessions, verify_stored
from portal.storage import base
from tests.samples import CHUNK, open_session, pattern, ready_session, send_part, store_file
from tests.services.situations import failing


def found(storage, **options):
    """Return `{file id: code}` of what is wrong, None of what is right."""
    return {row["id"]: finding and finding.code for row, finding in verify_stored(storage=storage, **options)}


def bytes_of(storage, file):
    """Return the bytes of a stored file, to be changed in place."""
    return storage.files["objects"][file.storage_key].data


@pytest.fixture
def file(ann, storage):
    """A stored file of 1,000 bytes."""
    return store_file(ann, storage, pattern(1000))


def test_files_that_are_as_their_rows_say_are_right(ann, storage, file):
    empty = store_file(ann, storage, b"")
    open_session(ann, storage)
    assert found(storage) == {file.pk: None, empty.pk: None}
    assert count_stored() == 2


def test_one_changed_bit_is_found(storage, file):
    bytes_of(storage, file)[999] ^= 1
    assert found(storage) == {file.pk: "sha256_differs"}


def test_a_file_cut_short_or_grown_is_found_without_reading_it(storage, file, monkeypatch):
    monkeypatch.setattr(verify, "hash_object", failing(AssertionError("read")))
    assert found(storage, quick=True) == {file.pk: None}
    bytes_of(storage, file).append(0)
    assert found(storage, quick=True) == {file.pk: "size_differs"}
    del bytes_of(storage, file)[500:]
    assert found(storage) == {file.pk: "size_differs"}


def test_a_file_without_bytes_is_found(storage, file):
    storage.remove_object(file.storage_key)
    assert found(storage) == {file.pk: "missing"}


def test_a_file_that_is_deleted_meanwhile_is_no_finding(storage, file, monkeypatch):
    opened = storage.open_object

    def open_late(key):
        delete_file(IngestFile.objects.get(pk=file.pk), storage=storage)
        return opened(key)

    monkeypatch.setattr(storage, "open_object", open_late)
    assert found(storage) == {file.pk: None}


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_looked_at(ann, storage, file, monkeypatch):
    other = store_file(ann, storage, b"other")
    opened = storage.open_object

    def open_some(key):
        if key == file.storage_key:
            raise base.StorageUnavailable("the disk is ill")
        return opened(key)

    monkeypatch.setattr(storage, "open_object", open_some)
    assert found(storage) == {file.pk: "unreadable", other.pk: None}


def test_files_come_by_id_in_blocks_from_a_place_or_a_time_on(ann, storage, monkeypatch):
    monkeypatch.setattr(verify, "BLOCK", 2)
    files = [store_file(ann, storage, b"x").pk for _ in range(5)]
    assert list(found(storage)) == files
    assert list(found(storage, after=files[2])) == files[3:]
    now = timezone.now()
    IngestFile.objects.filter(pk__in=files[:3]).update(stored_at=now - timedelta(days=2))
    assert list(found(storage, since=now - timedelta(days=1))) == files[3:]
    assert (count_stored(since=now - timedelta(days=1)), count_stored(after=files[0])) == (2, 4)


def test_a_sample_is_about_its_share(ann, storage):
    for _ in range(60):
        store_file(ann, storage, b"")
    assert 10 < len(found(storage, share=0.5)) < 50
    assert len(found(storage, share=1.0)) == 60


def test_parts_that_a_restore_lost_are_found(ann, storage):
    right, lost, old, ready = (open_session(ann, storage, size=2 * CHUNK) for _ in range(4))
    for session in (right, lost, old, ready):
        send_part(ann, storage, session, 2, pattern(CHUNK))
    send_part(ann, storage, ready, 1, pattern(CHUNK))
    assert list(verify_sessions(storage=storage)) == []
    storage.remove_staging(lost.staging_key)
    del storage.files["staging"][old.staging_key].data[2 * CHUNK - 1 :]
    storage.files["staging"][ready.staging_key].data[0] ^= 1
    findings = {str(finding).rpartition(": ")[0]: finding.detail for finding in verify_sessions(storage=storage)}
    assert findings == {
        f"session {lost.pk}: missing": "its staging file is gone",
        f"session {old.pk}: part_differs": "part 2 has other bytes",
        f"session {ready.pk}: part_differs": "part 1 has other bytes",
    }


def test_a_session_that_is_being_written_or_cannot_be_read_is_told(ann, storage, monkeypatch):
    session = ready_session(ann, storage, b"data")
    with storage.hold(session.staging_key, "aa/bb/" + "0" * 32):
        assert [finding.code for finding in verify_sessions(storage=storage)] == ["busy"]
    monkeypatch.setattr(storage, "hold", failing(base.StorageUnavailable("ill")))
    assert [finding.code for finding in verify_sessions(storage=storage)] == ["unreadable"]


def test_bytes_that_no_row_names_are_found_at_any_age(ann, storage, file):
    lost = store_file(ann, storage, b"newer than the database")
    assert list(verify_named(storage=storage)) == []
    UploadSession.objects.filter(pk=lost.session_id).delete()
    IngestFile.objects.filter(pk=lost.pk).delete()
    assert [str(finding) for finding in verify_named(storage=storage)] == [
        f"object {lost.storage_key}: unnamed: no row names it; the sweep takes it when it is a day old"
    ]

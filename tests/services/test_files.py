"""Files: listed, and given out once they are STORED."""

import pytest

from portal import exceptions
from portal.access import READ, SERVICE, UPLOAD
from portal.services.files import list_files, open_content
from portal.services.sessions import abort_session
from tests.samples import make_batch, make_caller, open_session, pattern, ready_session, store_file


def ids(page):
    """Return the ids of a page."""
    return [row["id"] for row in page.rows]


def test_the_bytes_of_a_stored_file_can_be_had(ann, storage):
    data = pattern(200_000)
    file = store_file(ann, storage, data, original_filename="a.txt")
    content = open_content(ann, file.pk, storage=storage)
    with content.stored as stored:
        assert stored.read(0, content.size) == data
    assert (content.size, content.sha256, content.filename) == (len(data), file.sha256, "a.txt")


def test_a_file_that_is_not_stored_has_no_bytes_to_give(ann, storage):
    session = ready_session(ann, storage)
    with pytest.raises(exceptions.FileNotStored):
        open_content(ann, session.file_id, storage=storage)
    abort_session(session)
    with pytest.raises(exceptions.FileNotStored):
        open_content(ann, session.file_id, storage=storage)


def test_bytes_that_are_gone_are_a_fault_of_the_storage(ann, storage):
    file = store_file(ann, storage)
    storage.remove_object(file.storage_key)
    with pytest.raises(exceptions.StorageUnavailable):
        open_content(ann, file.pk, storage=storage)


def test_the_bytes_of_somebody_else_are_not_found(ann, bob, storage):
    file = store_file(ann, storage)
    with pytest.raises(exceptions.NotFound):
        open_content(bob, file.pk, storage=storage)


def test_the_scope_service_reads_the_bytes_and_lists_the_files_of_everybody(ann, bob, storage):
    files = [store_file(ann, storage, b"ann's").pk, store_file(bob, storage, b"bob's").pk]
    runner = make_caller("runner", SERVICE)
    with open_content(runner, files[1], storage=storage).stored as stored:
        assert stored.read(0, 5) == b"bob's"
    assert ids(list_files(runner, ["id"])) == files[::-1]


def test_without_the_scope_read_there_are_no_bytes(ann, storage):
    file = store_file(ann, storage)
    with pytest.raises(exceptions.InsufficientScope):
        open_content(make_caller("ann", UPLOAD), file.pk, storage=storage)
    assert open_content(make_caller("ann", READ), file.pk, storage=storage)


def test_ones_own_files_are_listed_newest_first_by_status_and_without_a_batch(ann, bob, storage):
    stored = store_file(ann, storage).pk
    joined = open_session(ann, storage, batch=make_batch(ann)).file_id
    store_file(bob, storage)
    assert ids(list_files(ann, ["id"])) == [joined, stored]
    assert ids(list_files(ann, ["id"], status="STORED")) == [stored]
    assert ids(list_files(ann, ["id"], status="FAILED")) == []
    assert ids(list_files(ann, ["id"], loose=True)) == [stored]
    assert ids(list_files(ann, ["id"], loose=True, status="UPLOADING")) == []

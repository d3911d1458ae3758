"""A path in a batch: one file each, and a FAILED file is opened again."""

import pytest
from django.utils import timezone

from portal import exceptions
from portal.models import IngestFile, UploadBatch, UploadSession
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from tests.samples import make_batch, open_session, ready_session, send_parts, store_file
from tests.services.situations import counters, drift, event_types, just_before, set_columns
from tests.services.test_declarations import put


@pytest.fixture
def batch(ann):
    """A batch of ann's."""
    return make_batch(ann)


@pytest.fixture
def failed(ann, storage, batch):
    """A FAILED file of 10 bytes on the path `a/b` of the batch."""
    abort_session(open_session(ann, storage, size=10, batch=batch, path="a/b"))
    return IngestFile.objects.get()


def test_the_path_of_a_file_that_is_uploading_or_stored_is_taken(ann, storage, batch):
    open_session(ann, storage, batch=batch, path="uploading")
    store_file(ann, storage, batch=batch, path="stored")
    for path in ("uploading", "stored"):
        with pytest.raises(exceptions.PathTaken):
            open_session(ann, storage, batch=batch, path=path)
    assert counters(batch) == (2, 1, 0, 1)


def test_the_same_path_is_free_in_another_batch_and_without_one(ann, storage, batch):
    open_session(ann, storage, batch=batch, path="a")
    open_session(ann, storage, batch=make_batch(ann), path="a")
    open_session(ann, storage, path="a")
    open_session(ann, storage, path="a")
    assert IngestFile.objects.filter(path="a").count() == 4


def test_files_without_a_path_do_not_meet(ann, storage, batch):
    open_session(ann, storage, batch=batch)
    open_session(ann, storage, batch=batch)
    assert counters(batch) == (2, 0, 0, 2)


def test_paths_that_differ_in_case_or_in_composition_are_two(ann, storage, batch):
    for path in ("a", "A", "é", "e\u0301"):
        open_session(ann, storage, batch=batch, path=path)
    assert counters(batch) == (4, 0, 0, 4)


def test_somebody_who_takes_the_path_between_the_look_and_the_transaction_has_it(ann, storage, batch, monkeypatch):
    just_before(monkeypatch, storage, "create_staging", lambda: open_session(ann, storage, batch=batch, path="a"))
    with pytest.raises(exceptions.PathTaken):
        open_session(ann, storage, batch=batch, path="a")
    assert (counters(batch), UploadSession.objects.count()) == ((1, 0, 0, 1), 1)


def test_a_failed_file_is_opened_again_as_the_same_file_in_a_new_session(ann, storage, batch, failed):
    assert counters(batch) == (1, 0, 1, 0)
    session = open_session(
        ann, storage, size=4, batch=batch, path="a/b", original_filename="new.txt", content_type="text/plain"
    )
    failed.refresh_from_db()
    assert (session.file_id, failed.session_id) == (failed.pk, session.pk)
    assert (failed.status, failed.error, failed.size_bytes) == ("UPLOADING", None, 4)
    assert (failed.original_filename, failed.content_type) == ("new.txt", "text/plain")
    assert counters(batch) == (1, 0, 0, 1)
    assert drift() == []


def test_a_file_that_was_opened_again_is_stored_with_its_new_size(ann, storage, batch, failed):
    session = open_session(ann, storage, size=4, batch=batch, path="a/b", original_filename="new.txt")
    send_parts(ann, storage, session, b"four")
    file = finalize_session(session, storage=storage)
    assert (file.pk, file.size_bytes, file.original_filename, file.error) == (failed.pk, 4, "new.txt", None)
    batch.refresh_from_db()
    assert (batch.total_bytes, batch.stored_bytes) == (4, 4)
    assert drift() == []
    assert event_types() == ["file.failed", "file.uploaded"]


def test_the_session_of_a_file_that_was_opened_again_knows_the_file_as_it_is_now(ann, storage, batch, failed):
    session = open_session(ann, storage, size=0, batch=batch, path="a/b", original_filename="new.txt")
    assert (session.file.size_bytes, session.file.original_filename, session.file.error) == (0, "new.txt", None)
    assert session.file.session_id == session.pk
    # The very object that opening returned, as a caller might use it.
    file = finalize_session(session, storage=storage)
    batch.refresh_from_db()
    assert (file.size_bytes, batch.total_bytes, batch.stored_bytes) == (0, 0, 0)
    assert drift() == []


def test_a_file_may_fail_and_be_opened_again_any_number_of_times(ann, storage, batch, failed):
    for _ in range(3):
        abort_session(open_session(ann, storage, batch=batch, path="a/b"))
        assert counters(batch) == (1, 0, 1, 0)
    assert event_types() == ["file.failed"] * 4
    assert IngestFile.objects.count() == 1


def test_two_who_open_a_failed_file_again_at_once_are_one_and_a_conflict(ann, storage, batch, failed, monkeypatch):
    just_before(monkeypatch, storage, "create_staging", lambda: open_session(ann, storage, batch=batch, path="a/b"))
    with pytest.raises(exceptions.PathTaken):
        open_session(ann, storage, batch=batch, path="a/b")
    assert counters(batch) == (1, 0, 0, 1)
    assert UploadSession.objects.open().count() == 1


def test_a_file_that_was_opened_again_and_failed_meanwhile_is_not_the_one_that_was_seen(
    ann, storage, batch, failed, monkeypatch
):
    # Its size may have changed with it, and the counters are moved by the difference.

    def come_and_go():
        abort_session(open_session(ann, storage, size=4, batch=batch, path="a/b"))

    just_before(monkeypatch, storage, "create_staging", come_and_go)
    with pytest.raises(exceptions.PathTaken):
        open_session(ann, storage, size=100, batch=batch, path="a/b")
    assert drift() == []
    assert counters(batch) == (1, 0, 1, 0)


def test_a_failed_file_of_a_sealed_batch_is_opened_again(ann, storage, batch, failed):
    set_columns(batch, sealed_at=timezone.now())
    assert open_session(ann, storage, batch=batch, path="a/b").file_id == failed.pk


@pytest.mark.parametrize(
    ("column", "error"),
    [("completed_at", exceptions.BatchCompleted), ("cancelled_at", exceptions.BatchCancelled)],
)
def test_a_failed_file_of_a_closed_batch_stays_failed(ann, storage, batch, failed, column, error):
    set_columns(batch, **{column: timezone.now()})
    with pytest.raises(error):
        open_session(ann, storage, batch=batch, path="a/b")
    failed.refresh_from_db()
    assert failed.status == "FAILED"


def test_a_batch_that_is_completed_while_a_failed_file_is_opened_again_keeps_it_failed(
    ann, storage, batch, failed, monkeypatch
):
    UploadBatch.objects.update(expected_files=1)
    last = ready_session(ann, storage, batch=batch)
    just_before(monkeypatch, storage, "create_staging", lambda: finalize_session(last, storage=storage))
    with pytest.raises(exceptions.BatchCompleted):
        open_session(ann, storage, batch=batch, path="a/b")
    failed.refresh_from_db()
    assert (failed.status, counters(batch)) == ("FAILED", (2, 1, 1, 0))
    assert drift() == []


def test_the_type_that_was_told_stands_where_nothing_is_told_now(ann, storage, batch):
    for told, kept in ((DEFAULT_CONTENT_TYPE, "text/plain"), ("image/png", "image/png")):
        abort_session(open_session(ann, storage, batch=batch, path=told, content_type="text/plain"))
        abort_session(open_session(ann, storage, batch=batch, path=told, content_type=told))
        assert IngestFile.objects.get(path=told).content_type == kept
        put(ann, batch, storage, (told, b"1"))
        assert IngestFile.objects.get(path=told).content_type == kept

"""Deleting a file: out of the counters with its row, then its bytes; refused while it moves or counts for good."""

import threading

import pytest
from django.db import connection

from portal import exceptions
from portal.models import IngestFile, UploadPart, UploadSession
from portal.services import removals
from portal.services.claims import claim_session
from portal.services.cleanup import remove_dead_bytes
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from portal.storage import base
from tests.samples import make_batch, open_session, ready_session, send_part, store_file
from tests.services.situations import counters, drift, event_types, failing, just_before, session_row


def all_bytes(storage):
    """Return the keys of everything that is stored, of each kind."""
    return [key for kind in storage.files.values() for key in kind]


@pytest.mark.parametrize("ending", ["stored", "failed", "uploading"])
def test_a_file_is_deleted_out_of_the_counter_of_its_status_with_its_bytes(ann, storage, ending):
    batch = make_batch(ann)
    kept = store_file(ann, storage, b"kept", batch=batch)
    session = ready_session(ann, storage, batch=batch)
    if ending == "stored":
        finalize_session(session, storage=storage)
    elif ending == "failed":
        abort_session(session)
    delete_file(IngestFile.objects.get(pk=session.file_id), storage=storage)
    batch.refresh_from_db()
    assert (counters(batch), batch.total_bytes, batch.stored_bytes) == ((1, 1, 0, 0), 4, 4)
    assert drift() == []
    assert all_bytes(storage) == [kept.storage_key]
    assert list(IngestFile.objects.all()) == [kept]
    assert not UploadSession.objects.filter(pk=session.pk).exists()
    assert not UploadPart.objects.filter(session_id=session.pk).exists()


def test_a_file_is_deleted_with_the_sessions_of_all_its_tries(ann, storage):
    batch = make_batch(ann)
    for _ in range(2):
        abort_session(open_session(ann, storage, batch=batch, path="a"))
    file = store_file(ann, storage, batch=batch, path="a")
    assert file.sessions.count() == 3
    delete_file(file, storage=storage)
    assert (UploadSession.objects.count(), all_bytes(storage), counters(batch)) == (0, [], (0, 0, 0, 0))


def test_deleting_a_file_is_not_its_failure(ann, storage):
    delete_file(open_session(ann, storage).file, storage=storage)
    assert event_types() == []


def test_a_path_is_free_again_once_its_file_is_deleted(ann, storage):
    batch = make_batch(ann)
    delete_file(store_file(ann, storage, batch=batch, path="a"), storage=storage)
    assert store_file(ann, storage, batch=batch, path="a").status == "STORED"


def test_a_file_of_a_completed_batch_stays(ann, storage):
    batch = make_batch(ann, expected_files=1)
    file = store_file(ann, storage, batch=batch)
    with pytest.raises(exceptions.BatchCompleted):
        delete_file(file, storage=storage)
    assert (counters(batch), all_bytes(storage)) == ((1, 1, 0, 0), [file.storage_key])
    assert file.sessions.count() == 1


def test_a_file_that_is_being_finalized_stays(ann, storage):
    session = ready_session(ann, storage)
    claim_session(session)
    with pytest.raises(exceptions.FileBusy):
        delete_file(session.file, storage=storage)
    assert IngestFile.objects.exists()
    assert all_bytes(storage) == [session.staging_key]


MOVES = {
    "a part lands": lambda caller, storage, session: send_part(caller, storage, session, 1, b"x"),
    "it is aborted": lambda caller, storage, session: abort_session(session),
    "it is deleted": lambda caller, storage, session: delete_file(session.file, storage=storage),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_file_that_moves_at_this_moment_is_not_deleted_as_what_it_was(ann, storage, monkeypatch, move):
    batch = make_batch(ann)
    session = open_session(ann, storage, batch=batch)
    file, other = IngestFile.objects.get(), session_row(session)
    just_before(monkeypatch, removals, "write_transaction", lambda: MOVES[move](ann, storage, other))
    with pytest.raises(exceptions.FileBusy):
        delete_file(file, storage=storage)
    assert drift() == []


@pytest.mark.parametrize("again", ["", "and fails again"])
def test_a_failed_file_that_is_opened_again_at_this_moment_stays(ann, storage, monkeypatch, again):
    batch = make_batch(ann)
    abort_session(open_session(ann, storage, size=10, batch=batch, path="a"))
    file = IngestFile.objects.get()

    def open_again():
        session = open_session(ann, storage, size=4, batch=batch, path="a")
        if again:
            abort_session(session)

    just_before(monkeypatch, removals, "write_transaction", open_again)
    with pytest.raises(exceptions.FileBusy):
        delete_file(file, storage=storage)
    assert counters(batch) == (1, 0, int(bool(again)), int(not again))
    assert drift() == []


@pytest.mark.django_db(transaction=True)
def test_a_failed_file_that_is_opened_again_between_look_and_delete_is_opened_or_deleted(ann, storage):
    batch = make_batch(ann)
    abort_session(open_session(ann, storage, batch=batch, path="a"))
    answers = []

    def open_again():
        try:
            answers.append(open_session(ann, storage, batch=batch, path="a"))
        except exceptions.PathTaken as error:
            answers.append(error)
        finally:
            connection.close()

    other = threading.Thread(target=open_again)

    def interrupt(execute, sql, *args):
        if sql.startswith('DELETE FROM "portal_ingestfile"') and other.ident is None:
            other.start()
            other.join(0.5)  # it may have to wait for this very transaction
        return execute(sql, *args)

    with connection.execute_wrapper(interrupt):
        delete_file(IngestFile.objects.get(), storage=storage)
    other.join()
    assert [type(answer) for answer in answers] == [exceptions.PathTaken]
    assert counters(batch) == (0, 0, 0, 0)
    assert drift() == []


def test_bytes_that_cannot_be_removed_now_are_removed_by_the_next_round(ann, storage, monkeypatch):
    file = store_file(ann, storage)
    with monkeypatch.context() as broken:
        broken.setattr(storage, "remove_object", failing(base.StorageUnavailable("gone")))
        delete_file(file, storage=storage)
    assert all_bytes(storage) == [file.storage_key]
    assert remove_dead_bytes(storage=storage) == 1
    assert (all_bytes(storage), UploadSession.objects.count()) == ([], 0)


def test_the_row_of_a_session_whose_bytes_went_before_its_file_goes_too_when_the_deletion_is_cut_short(
    ann, storage, monkeypatch
):
    session = open_session(ann, storage)
    abort_session(session)
    remove_dead_bytes(storage=storage)
    with monkeypatch.context() as killed:
        killed.setattr(removals.cleanup, "remove_bytes", lambda session, storage: None)
        delete_file(IngestFile.objects.get(), storage=storage)
    assert UploadSession.objects.count() == 1
    remove_dead_bytes(storage=storage)
    assert UploadSession.objects.count() == 0

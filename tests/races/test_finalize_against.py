"""Finalize against whatever else may happen to a session: a part, an abort, its end, a delete."""

import pytest

from portal import access
from portal.exceptions import NotFound
from portal.models import IngestFile, UploadSession
from portal.services.cleanup import expire_sessions, remove_bytes
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from tests.races.promises import assert_counted, assert_kept, events_of, files_below
from tests.races.racing import A_PART_SECONDS, fresh, put_part, refusals
from tests.rounds import rounds
from tests.samples import CHUNK, make_batch, open_session, pattern, ready_session, send_part
from tests.services.situations import let_lifetime_end

pytestmark = pytest.mark.django_db(transaction=True)
Status = UploadSession.Status


def finalizing(caller, storage, session):
    """Return a contender that finalizes the session."""
    return lambda: finalize_session(fresh(caller, session), storage=storage)


def putting(caller, storage, session, number, data):
    """Return a contender that stores one part."""
    return lambda: put_part(caller, storage, session, number, data)


def test_finalize_against_the_last_part_stores_all_or_stays_open(ann, storage, root, race):
    batch, stored = make_batch(ann), 0
    times = rounds(300)
    for turn in range(times):
        data = pattern(CHUNK + 1000, turn)
        session = open_session(ann, storage, size=len(data), batch=batch)
        send_part(ann, storage, session, 1, data[:CHUNK])
        put = putting(ann, storage, session, 2, data[CHUNK:])
        part, file = race(put, finalizing(ann, storage, session), behind=A_PART_SECONDS)
        assert part["part_number"] == 2
        if file is None:  # the part was on record, but its writer still held the range: left to whoever comes next
            assert fresh(ann, session).status == Status.FINALIZING
            file = finalizing(ann, storage, session)()
        row = assert_kept(session, root)
        if row.status == Status.COMPLETE:
            assert file.sha256
            stored += 1
        else:
            assert (file.code, row.status, row.completed_parts) == ("missing_parts", Status.IN_PROGRESS, 2)
    assert_counted(batch, total_files=times, stored_count=stored, failed_count=0)


@pytest.mark.parametrize("same", [True, False], ids=["same bytes", "other bytes"])
def test_finalize_against_a_part_sent_again_stores_the_bytes_on_record(ann, storage, root, race, same):
    batch, times = make_batch(ann), rounds(300)
    for turn in range(times):
        data = pattern(3000, turn)
        session = ready_session(ann, storage, data, batch=batch)
        again = data if same else pattern(3000, -1)
        file, part = race(finalizing(ann, storage, session), putting(ann, storage, session, 1, again))
        assert file.status == IngestFile.Status.STORED
        if isinstance(part, dict):
            assert same
        else:
            assert part.code in {"session_closed", "part_conflict"} - ({"part_conflict"} if same else set())
        assert assert_kept(session, root).completed_parts == 1
        with storage.open_object(file.storage_key) as stored:
            assert stored.read(0, 4000) == data
    assert_counted(batch, total_files=times, stored_count=times)


def test_finalize_against_abort_has_one_winner(ann, storage, root, race):
    batch, stored = make_batch(ann), 0
    times = rounds(300)
    for turn in range(times):
        session = ready_session(ann, storage, pattern(3000, turn), batch=batch)

        def abort(session=session):
            abort_session(fresh(ann, session))
            remove_bytes(session, storage=storage)

        file, aborted = results = race(finalizing(ann, storage, session), abort)
        assert refusals(results) == ["session_closed"]
        row = assert_kept(session, root)
        assert row.status == (Status.ABORTED if aborted is None else Status.COMPLETE)
        stored += isinstance(file, IngestFile)
    assert_counted(batch, total_files=times, stored_count=stored, failed_count=times - stored)


def test_finalize_against_expiry_has_one_winner(ann, storage, root, race):
    batch, stored = make_batch(ann), 0
    times = rounds(300)
    for turn in range(times):
        session = ready_session(ann, storage, pattern(3000, turn), batch=batch)
        let_lifetime_end(session)
        file, expired = race(finalizing(ann, storage, session), lambda: expire_sessions(storage=storage))
        row = assert_kept(session, root)
        if expired:
            assert (row.status, file.code) == (Status.EXPIRED, "session_closed")
        else:
            assert (row.status, file.status) == (Status.COMPLETE, IngestFile.Status.STORED)
            stored += 1
    assert_counted(batch, total_files=times, stored_count=stored, failed_count=times - stored)


def test_finalize_against_delete_leaves_the_file_whole_or_nothing_of_it(ann, storage, root, race):
    batch, left = make_batch(ann), 0
    for turn in range(rounds(300)):
        session = ready_session(ann, storage, pattern(3000, turn), batch=batch)

        def delete(file_id=session.file_id):
            delete_file(access.get_own_file(ann, file_id), storage=storage)

        file, deleted = race(finalizing(ann, storage, session), delete)
        if deleted is None:
            assert isinstance(file, IngestFile) or file.code in {"session_closed", "not_found"}
            assert not IngestFile.objects.filter(pk=session.file_id).exists()
            assert not UploadSession.objects.filter(pk=session.pk).exists()
            assert events_of(session) == (["file.uploaded"] if isinstance(file, IngestFile) else [])
        else:
            assert deleted.code == "file_busy"
            assert (file.status, assert_kept(session, root).status) == (IngestFile.Status.STORED, Status.COMPLETE)
            left += 1
        assert len(files_below(root)) == left
    assert_counted(batch, total_files=left, stored_count=left, failed_count=0)


@pytest.mark.parametrize("call", [finalize_session, lambda session, storage: abort_session(session)])
def test_a_session_whose_file_was_deleted_under_the_caller_is_not_found(ann, storage, call):
    session = fresh(ann, ready_session(ann, storage))
    delete_file(session.file, storage=storage)
    with pytest.raises(NotFound):
        call(session, storage=storage)

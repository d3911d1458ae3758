"""Bytes that their owner has stored already: declared once more they are STORED, and nobody else's are known."""

import hashlib
import shlex
import sys
import threading

import pytest
from django.db import OperationalError

from portal import exceptions
from portal.models import IngestFile, OutboxEvent, UploadBatch, UploadSession
from portal.services import known_bytes, outcomes, whole_records
from portal.services.cancels import cancel_batch
from portal.services.cleanup import sweep_unnamed
from portal.services.declarations import declare_files
from portal.services.entries import Entry
from portal.services.files import delete_file
from portal.services.seals import seal_batch
from portal.services.sessions import abort_session
from portal.services.verify import verify_stored
from portal.storage import base
from tests.samples import make_batch, make_caller, open_session, store_file
from tests.services.situations import (
    counters,
    drift,
    event_types,
    failing,
    just_after,
    just_before,
    seen_queries,
    seen_transactions,
)
from tests.services.test_declarations import answers, declare
from tests.strict import in_transaction

DATA = b"data"
SHA256 = hashlib.sha256(DATA).hexdigest()
#: Refuses every content.
REFUSES = "command:" + shlex.join([sys.executable, "-c", "print('Test-Virus'); raise SystemExit(1)"])


@pytest.fixture
def known(ann, storage):
    """A STORED file of ann's, without a batch."""
    return IngestFile.objects.get(pk=store_file(ann, storage, DATA).pk)


@pytest.fixture
def batch(ann):
    return make_batch(ann)


def objects(storage):
    """Return the bytes of all objects."""
    return [bytes(file.data) for file in storage.files["objects"].values()]


def assert_only_named(storage):
    """Each object is named by one STORED file, whose bytes it has; nothing has drifted."""
    keys = list(IngestFile.objects.filter(status="STORED").values_list("storage_key", flat=True))
    assert sorted(keys) == sorted(storage.files["objects"])
    assert [found for _, found in verify_stored(storage=storage) if found] == []
    assert drift() == []


def test_what_is_known_is_stored_without_an_upload(ann, storage, known, batch):
    (entry,) = declare(ann, batch, storage, ("a/b", 4, SHA256))
    assert entry.action == "stored"
    file = IngestFile.objects.get(pk=entry.file_id)
    assert (file.status, file.sha256, file.size_bytes, file.path) == ("STORED", SHA256, 4, "a/b")
    assert file.stored_at
    assert file.storage_key != known.storage_key
    assert counters(batch) == (1, 1, 0, 0)
    assert event_types() == ["file.uploaded"] * 2
    payload = OutboxEvent.objects.get(file_id=file.pk).payload["file"]
    assert (payload["id"], payload["storage"]["key"]) == (str(file.pk), file.storage_key)
    assert not UploadSession.objects.filter(file=file).exists()
    assert_only_named(storage)


def test_either_file_may_go_and_the_other_stays(ann, storage, known, batch):
    entries = declare(ann, batch, storage, ("a", 4, SHA256), ("b", 4, SHA256))
    delete_file(known, storage=storage)
    delete_file(IngestFile.objects.get(pk=entries[0].file_id), storage=storage)
    assert objects(storage) == [DATA]
    assert_only_named(storage)


def test_others_go_on_beside_it_and_of_one_path_both_are_told(ann, storage, known, batch):
    wanted = [("a", 4, SHA256), ("new", 4, "0" * 64), ("a", 4), ("size", 5, SHA256), ("untold", 4)]
    for _ in range(2):
        entries = declare(ann, batch, storage, *wanted, open_sessions=True)
        assert answers(entries)[:1] + answers(entries)[2:3] == ["stored"] * 2
        assert entries[0].file_id == entries[2].file_id
        assert [bool(entry.session) for entry in entries] == [False, True, False, True, True]
    assert (counters(batch), UploadSession.objects.open().count()) == ((4, 1, 0, 3), 3)
    assert_only_named(storage)


def test_counters_move_once_for_all_of_a_call(ann, storage, known, batch):
    with seen_transactions() as transactions:
        assert answers(declare(ann, batch, storage, *((str(n), 4, SHA256) for n in range(50)))) == ["stored"] * 50
    counted = 'UPDATE "portal_uploadbatch" SET "total_files"'
    moved = [statements for statements in transactions if any(sql.startswith(counted) for sql in statements)]
    assert [sum(sql.startswith(counted) for sql in statements) for statements in moved] == [1, 1]
    assert counters(batch) == (50, 50, 0, 0)


def test_looking_costs_one_query_where_nothing_is_known_and_none_without_a_digest(ann, storage, batch):
    def cost(*entries):
        with seen_queries() as queries:
            declare(ann, make_batch(ann), storage, *entries)
        return len(queries)

    assert cost(("a", 4, SHA256)) == cost(("a", 4)) + 1


def test_what_was_declared_or_failed_before_is_stored_too(ann, storage, batch):
    assert answers(declare(ann, batch, storage, ("declared", 4, SHA256), ("untold", 4))) == ["upload"] * 2
    abort_session(open_session(ann, storage, size=9, batch=batch, path="failed"))
    store_file(ann, storage, DATA)
    entries = declare(ann, batch, storage, *((path, 4, SHA256) for path in ("declared", "untold", "failed")))
    assert answers(entries) == ["stored"] * 3
    assert counters(batch) == (3, 3, 0, 0)
    assert not IngestFile.objects.exclude(error=None).exists()
    assert_only_named(storage)


def test_an_upload_that_is_under_way_is_resumed(ann, storage, known, batch):
    open_session(ann, storage, size=4, batch=batch, path="a")
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["resume"]


def test_nobody_elses_bytes_are_known(ann, bob, storage, known):
    assert answers(declare(bob, make_batch(bob), storage, ("a", 4, SHA256))) == ["upload"]
    spy = make_caller("bob", "upload", "read", "service")
    assert answers(declare(spy, make_batch(bob), storage, ("a", 4, SHA256))) == ["upload"]


def test_who_may_not_read_learns_nothing(storage, known):
    blind = make_caller("ann", "upload", "delete")
    assert answers(declare(blind, make_batch(blind), storage, ("a", 4, SHA256))) == ["upload"]


def test_a_setting_turns_it_off(ann, storage, known, batch, settings):
    settings.PORTAL_KNOWN_BYTES = False
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]


def test_only_what_is_stored_is_known(ann, storage, batch):
    open_session(ann, storage, size=4, batch=batch, path="open", sha256=SHA256)
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]


def test_bytes_in_the_other_kind_of_storage_are_uploaded(ann, storage, known, batch):
    IngestFile.objects.filter(pk=known.pk).update(storage_backend="s3")
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]


def test_more_than_the_storage_copies_is_uploaded(ann, storage, known, batch, monkeypatch):
    monkeypatch.setattr(storage, "copies_up_to", 3)
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]


@pytest.mark.parametrize("when", [just_before, just_after])
def test_a_file_that_is_deleted_meanwhile_leaves_what_is_uploaded_or_stored(
    ann, storage, known, batch, monkeypatch, when
):
    when(monkeypatch, known_bytes, "_copy", lambda: delete_file(known, storage=storage))
    expected = "upload" if when is just_before else "stored"
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == [expected]
    assert counters(batch) == (1, int(expected == "stored"), 0, int(expected == "upload"))
    assert_only_named(storage)


def test_a_newer_file_is_copied_first(ann, storage, known, batch):
    newer = IngestFile.objects.get(pk=store_file(ann, storage, DATA).pk)
    storage.remove_object(known.storage_key)
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["stored"]
    assert newer.storage_key in storage.files["objects"]


@pytest.mark.parametrize("error", [base.StorageUnavailable("away"), base.NoSpace("full")])
def test_a_storage_that_fails_leaves_them_to_be_uploaded(ann, storage, known, batch, monkeypatch, error):
    monkeypatch.setattr(storage, "copy_objects", failing(error))
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256), ("b", 4))) == ["upload"] * 2
    assert_only_named(storage)


def test_what_a_scanner_or_the_list_of_types_refuses_today_is_not_stored(ann, storage, known, batch, settings):
    settings.PORTAL_SCANNER = REFUSES
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]
    settings.PORTAL_SCANNER = "clamd://127.0.0.1:9"
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]
    assert_only_named(storage)
    settings.PORTAL_SCANNER = f"command:{sys.executable} -c pass"
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["stored"]


def test_a_scanner_that_takes_long_is_not_waited_for(ann, storage, known, batch, settings, monkeypatch):
    settings.PORTAL_SCANNER = f"command:{sys.executable} -c pass"
    monkeypatch.setattr(known_bytes, "INSPECT_SECONDS", -1)
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]
    assert_only_named(storage)


def test_more_calls_than_may_wait_for_a_scanner_do_not(ann, storage, known, batch, settings, monkeypatch):
    settings.PORTAL_SCANNER = f"command:{sys.executable} -c pass"
    monkeypatch.setattr(known_bytes, "_judges", threading.BoundedSemaphore(1))
    with known_bytes._judges:
        assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["stored"]
    assert_only_named(storage)


def test_a_quota_counts_them_as_any_and_the_first_ones_have_the_room(ann, storage, known, batch, settings):
    settings.PORTAL_QUOTA_BYTES = 12
    assert answers(declare(ann, batch, storage, *((path, 4, SHA256) for path in "abc"))) == ["stored"] * 2 + ["upload"]
    assert_only_named(storage)


@pytest.mark.parametrize("end", ["cancel", "delete", "put"])
def test_what_changes_before_they_are_recorded_is_respected(ann, storage, known, batch, monkeypatch, end):
    actions = {
        "cancel": lambda: cancel_batch(UploadBatch.objects.get(pk=batch.pk), storage=storage),
        "delete": lambda: delete_file(IngestFile.objects.get(path="a"), storage=storage),
        "put": lambda: store_file(ann, storage, DATA, batch=batch, path="a"),
    }
    just_before(monkeypatch, whole_records, "record_whole", actions[end])
    entries = declare(ann, batch, storage, ("a", 4, SHA256), ("b", 4, SHA256))
    assert answers(entries) == ["upload" if end == "cancel" else "stored"] * 2
    for entry in entries:
        assert IngestFile.objects.get(pk=entry.file_id).status == ("FAILED" if end == "cancel" else "STORED")
    assert_only_named(storage)


def test_a_batch_is_completed_by_them(ann, storage, known):
    batch = make_batch(ann, expected_files=2)
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256), ("b", 4, SHA256))) == ["stored"] * 2
    batch.refresh_from_db()
    assert batch.completed_at
    assert event_types().count("batch.completed") == 1
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256), ("c", 4, SHA256))) == ["stored", "batch_completed"]


def test_a_sealed_batch_takes_those_that_were_declared(ann, storage, batch):
    declare(ann, batch, storage, ("a", 4, SHA256))
    seal_batch(UploadBatch.objects.get(pk=batch.pk))
    store_file(ann, storage, DATA)
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256), ("b", 4, SHA256))) == ["stored", "batch_sealed"]
    batch.refresh_from_db()
    assert batch.completed_at


def test_a_crash_before_the_row_leaves_bytes_to_the_sweep_and_a_file_to_declare(
    ann, storage, known, batch, monkeypatch
):
    class Killed(BaseException):
        pass

    monkeypatch.setattr(whole_records, "record_whole", failing(Killed()))
    with pytest.raises(Killed):
        declare(ann, batch, storage, ("a", 4, SHA256))
    assert len(objects(storage)) == 2
    monkeypatch.undo()
    assert sweep_unnamed(storage=storage, older_than=-60) == 1
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["stored"]
    assert_only_named(storage)


def test_a_commit_without_an_answer_leaves_the_bytes_alone(ann, storage, known, batch, monkeypatch, settings):
    monkeypatch.setattr(whole_records.connection, "close", lambda: None)
    monkeypatch.setattr(whole_records, "record_whole", failing(OperationalError("lost")))
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]
    assert len(objects(storage)) == 2
    assert counters(batch) == (1, 0, 0, 1)


def test_a_commit_that_is_lost_after_it_came_to_pass_is_read_back(ann, storage, known, batch, monkeypatch):
    monkeypatch.setattr(whole_records.connection, "close", lambda: None)

    def lost(*args, **options):
        outcomes.record_whole(*args, **options)
        raise OperationalError("lost")

    monkeypatch.setattr(whole_records, "record_whole", lost)
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["stored"]
    assert_only_named(storage)


@pytest.mark.parametrize("options", [{}, {"open_sessions": True}])
def test_the_answer_is_kept_with_all_that_it_tells(ann, storage, known, batch, options):
    seen = []

    def keep():
        assert in_transaction()
        seen.append(answers(entries))

    entries = [Entry(path, 4, sha256) for path, sha256 in (("a", SHA256), ("b", "0" * 64), ("c", SHA256))]
    declare_files(ann, batch, entries, storage=storage, keep=keep, **options)
    assert seen == [["stored", "upload", "stored"]]


def test_an_answer_that_is_claimed_by_another_is_not_told(ann, storage, known, batch):
    with pytest.raises(exceptions.IdempotencyInProgress):
        declare(ann, batch, storage, ("a", 4, SHA256), keep=failing(exceptions.IdempotencyInProgress()))
    assert_only_named(storage)

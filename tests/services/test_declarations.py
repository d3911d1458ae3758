"""Declared files: EXPECTED and counted, each answered with what to do, and carried on by whatever brings the bytes."""

import hashlib

import pytest

from portal import exceptions
from portal.models import IngestFile, UploadBatch, UploadSession
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.services import declarations, openings, sessions, whole_records
from portal.services.arrivals import Arrival
from portal.services.cancels import cancel_batch, delete_batch_files
from portal.services.claims import claim_session
from portal.services.declarations import declare_files
from portal.services.entries import Entry
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.receipts import get_receipt
from portal.services.seals import seal_batch
from portal.services.sessions import abort_session
from portal.services.whole_files import begin_files
from portal.storage import base
from tests.samples import make_batch, open_session, ready_session, store_file
from tests.services.situations import counters, drift, event_types, failing, just_before, seen_transactions
from tests.strict import in_transaction

DATA = b"data"
SHA256 = hashlib.sha256(DATA).hexdigest()


def declare(caller, batch, storage, *entries, **options):
    """Declare `(path, size, sha256?)`; return the entries."""
    entries = [Entry(*entry) for entry in entries]
    declare_files(caller, batch, entries, storage=storage, **options)
    return entries


def answers(entries):
    """Return what each was answered: its action, or the code of its error."""
    return [entry.action or entry.error.code for entry in entries]


def put(caller, batch, storage, *members, early=True):
    """Store `(path, data)` pairs as whole files; return the arrivals."""
    group, arrivals = begin_files(caller, batch.pk, storage=storage), []
    for path, data in members:
        length = len(data) if early else None
        arrival = Arrival(path=path, original_filename=path, content_type=DEFAULT_CONTENT_TYPE, length=length)
        group.add(arrival)
        if early:
            group.refuse_early(arrival)
        arrival.write(data, storage=storage)
        arrivals.append(arrival)
    if not early:
        group.look()
    group.store()
    group.judge()
    group.record()
    group.close()
    return arrivals


def test_what_is_new_is_expected_and_counted_once(ann, storage):
    batch = make_batch(ann)
    with seen_transactions() as transactions:
        entries = declare(ann, batch, storage, ("a/b", 4, SHA256), ("c", 0), ("a/b", 4))
    assert answers(entries) == ["upload"] * 3
    assert entries[0].file_id == entries[2].file_id
    assert (counters(batch), drift()) == ((2, 0, 0, 2), [])
    row = UploadBatch.objects.get(pk=batch.pk)
    assert (row.status, row.total_bytes, row.stored_bytes) == ("IN_PROGRESS", 4, 0)
    file = IngestFile.objects.get(path="a/b")
    assert (file.status, file.original_filename, file.size_bytes, file.sha256) == ("EXPECTED", "b", 4, "")
    assert (len(transactions), event_types()) == (1, [])


def test_each_is_answered_with_what_to_do(ann, storage, settings):
    settings.PORTAL_KNOWN_BYTES = False
    batch = make_batch(ann)
    store_file(ann, storage, DATA, batch=batch, path="stored")
    going = open_session(ann, storage, size=4, batch=batch, path="open")
    finalizing = ready_session(ann, storage, DATA, batch=batch, path="finalizing")
    claim_session(finalizing).leave()
    abort_session(open_session(ann, storage, size=9, batch=batch, path="failed"))
    paths = ["stored", "open", "finalizing", "failed", "new"]
    for _ in range(2):
        entries = declare(ann, batch, storage, *((path, 4, SHA256) for path in paths))
        assert answers(entries) == ["stored", "resume", "resume", "upload", "upload"]
        assert [entry.session and entry.session.pk for entry in entries] == [None, going.pk, finalizing.pk, None, None]
        assert (counters(batch), drift()) == ((5, 1, 0, 4), [])
    failed = IngestFile.objects.get(path="failed")
    assert (failed.status, failed.size_bytes, failed.error, failed.session_id) == ("EXPECTED", 4, None, None)


def test_another_size_or_digest_is_refused_and_the_rest_goes_on(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, DATA, batch=batch, path="stored")
    open_session(ann, storage, size=4, batch=batch, path="open", sha256=SHA256)
    declare(ann, batch, storage, ("expected", 4, SHA256))
    other = "0" * 64
    entries = declare(
        ann,
        batch,
        storage,
        *((path, size, digest) for path in ("stored", "open", "expected") for size, digest in ((5, ""), (4, other))),
        ("twice", 1),
        ("twice", 2),
        ("new", 1),
    )
    assert answers(entries) == ["path_taken"] * 6 + ["upload", "path_taken", "upload"]
    assert drift() == []


def test_sessions_are_opened_with_the_call_and_resumed_by_the_next(ann, storage):
    batch = make_batch(ann)
    wanted = [("a", 4, SHA256), ("b", 0), ("c", 7)]
    first = declare(ann, batch, storage, *wanted, open_sessions=True)
    assert answers(first) == ["upload"] * 3
    assert UploadSession.objects.get(pk=first[0].session.pk).declared_sha256 == SHA256
    again = declare(ann, batch, storage, *wanted, open_sessions=True)
    assert answers(again) == ["resume"] * 3
    assert [entry.session.pk for entry in again] == [entry.session.pk for entry in first]
    assert (counters(batch), UploadSession.objects.count(), drift()) == ((3, 0, 0, 3), 3, [])


def test_sessions_of_a_group_are_opened_in_one_transaction(ann, storage, monkeypatch):
    monkeypatch.setattr(openings, "GROUP", 2)
    batch = make_batch(ann)
    with seen_transactions() as transactions:
        entries = declare(ann, batch, storage, ("a", 4), ("b", 4), ("a", 4), ("c", 4), ("b", 4), open_sessions=True)
    opening = [statements for statements in transactions if any("portal_uploadsession" in sql for sql in statements)]
    assert len(opening) == 2
    assert [entry.session.file_id for entry in entries] == [entry.file_id for entry in entries]
    assert (UploadSession.objects.count(), counters(batch), drift()) == (3, (3, 0, 0, 3), [])


def test_a_storage_that_is_full_rejects_and_what_was_declared_stays(ann, storage, monkeypatch):
    batch = make_batch(ann)
    monkeypatch.setattr(storage, "create_staging", failing(base.NoSpace("full")))
    entries = declare(ann, batch, storage, ("a", 4), ("b", 4), open_sessions=True)
    assert answers(entries) == ["insufficient_storage"] * 2
    assert (counters(batch), UploadSession.objects.count()) == ((2, 0, 0, 2), 0)
    monkeypatch.undo()
    assert answers(declare(ann, batch, storage, ("a", 4), open_sessions=True)) == ["upload"]


def test_a_session_carries_on_what_was_declared(ann, storage):
    batch = make_batch(ann)
    entries = [Entry("a", 4, SHA256, "text/plain")]
    declare_files(ann, batch, entries, storage=storage)
    for size, digest in ((5, ""), (4, "0" * 64)):
        with pytest.raises(exceptions.PathTaken):
            open_session(ann, storage, size=size, batch=batch, path="a", sha256=digest)
    file = store_file(ann, storage, DATA, batch=batch, path="a")
    assert (file.pk, file.content_type) == (entries[0].file_id, "text/plain")
    assert (counters(batch), drift()) == ((1, 1, 0, 0), [])


def test_bytes_that_were_not_declared_fail_the_session(ann, storage):
    batch = make_batch(ann)
    declare(ann, batch, storage, ("a", 4, SHA256))
    with pytest.raises(exceptions.Sha256Mismatch):
        store_file(ann, storage, b"DATA", batch=batch, path="a")
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]


@pytest.mark.parametrize("early", [True, False])
def test_whole_files_carry_on_what_was_declared(ann, storage, early):
    batch = make_batch(ann)
    (entry, _) = declare(ann, batch, storage, ("a", 4, SHA256), ("b", 4, SHA256))
    (arrival,) = put(ann, batch, storage, ("a", DATA), early=early)
    assert (arrival.file.pk, arrival.file.status, arrival.created) == (entry.file_id, "STORED", True)
    (other,) = put(ann, batch, storage, ("b", b"DATA"), early=early)
    assert other.error.code == "path_taken"
    assert (counters(batch), drift()) == ((2, 1, 0, 1), [])
    assert list(storage.files["objects"]) == [arrival.file.storage_key]


def test_a_length_that_was_not_declared_is_refused_before_the_bytes(ann, storage):
    batch = make_batch(ann)
    declare(ann, batch, storage, ("a", 4))
    with pytest.raises(exceptions.PathTaken):
        put(ann, batch, storage, ("a", b"longer"))


def test_a_group_of_declared_new_and_failed_files_counts_each_once(ann, storage):
    batch = make_batch(ann)
    declare(ann, batch, storage, ("declared", 4))
    abort_session(open_session(ann, storage, size=9, batch=batch, path="failed"))
    put(ann, batch, storage, ("new", DATA), ("declared", DATA), ("failed", DATA), early=False)
    assert (counters(batch), drift()) == ((3, 3, 0, 0), [])


def test_declared_files_are_pending_for_seal_and_receipt(ann, storage):
    batch = make_batch(ann)
    declare(ann, batch, storage, ("a", 4), ("b", 4))
    with pytest.raises(exceptions.SealMismatch):
        seal_batch(batch, expected_files=1)
    batch.refresh_from_db()
    seal_batch(batch, expected_files=2)
    batch.refresh_from_db()
    assert batch.completed_at is None
    assert answers(declare(ann, batch, storage, ("a", 4), ("c", 4))) == ["upload", "batch_sealed"]
    put(ann, batch, storage, ("a", DATA))
    store_file(ann, storage, DATA, batch=batch, path="b")
    assert UploadBatch.objects.get(pk=batch.pk).completed_at is not None


def test_a_file_that_was_declared_may_come_after_others_completed_the_batch(ann, storage):
    batch = make_batch(ann, expected_files=1)
    declare(ann, batch, storage, ("late", 4), ("first", 4))
    put(ann, batch, storage, ("first", DATA))
    batch.refresh_from_db()
    assert batch.completed_at is not None
    assert answers(declare(ann, batch, storage, ("late", 4), ("new", 4), ("first", 4))) == [
        "upload",
        "batch_completed",
        "stored",
    ]
    with pytest.raises(exceptions.BatchNotComplete):
        get_receipt(batch)
    begin_files(ann, batch.pk, storage=storage).refuse_closed()
    put(ann, batch, storage, ("late", DATA))
    with pytest.raises(exceptions.BatchCompleted):
        begin_files(ann, batch.pk, storage=storage).refuse_closed()
    batch.refresh_from_db()
    assert (get_receipt(batch)["stored_count"], event_types().count("batch.completed")) == (2, 1)


def test_a_cancel_ends_what_was_declared(ann, storage):
    batch = make_batch(ann)
    declare(ann, batch, storage, ("a", 4), ("b", 4))
    store_file(ann, storage, DATA, batch=batch, path="b")
    cancel_batch(batch, storage=storage)
    assert (counters(batch), drift()) == ((2, 1, 1, 0), [])
    assert IngestFile.objects.get(path="a").error["code"] == "aborted"
    assert event_types() == ["file.uploaded", "file.failed"]
    entries = declare(ann, batch, storage, ("a", 4), ("b", 4), ("c", 4))
    assert answers(entries) == ["batch_cancelled", "stored", "batch_cancelled"]


def test_the_tombstone_of_a_batch_ends_what_was_declared_first(ann, storage):
    batch = make_batch(ann, expected_files=1)
    declare(ann, batch, storage, ("late", 4))
    store_file(ann, storage, DATA, batch=batch)
    delete_batch_files(UploadBatch.objects.get(pk=batch.pk), storage=storage)
    assert (counters(batch), batch.files.count(), drift()) == ((2, 1, 1, 0), 0, [])


def test_one_that_was_declared_can_be_deleted(ann, storage):
    batch = make_batch(ann)
    (entry,) = declare(ann, batch, storage, ("a", 4))
    delete_file(IngestFile.objects.get(pk=entry.file_id), storage=storage)
    assert (counters(batch), drift()) == ((0, 0, 0, 0), [])


def test_too_large_a_file_is_refused_by_itself(ann, storage, settings):
    settings.PORTAL_MAX_FILE_SIZE = 10
    batch = make_batch(ann)
    assert answers(declare(ann, batch, storage, ("a", 11), ("b", 10))) == ["file_too_large", "upload"]


@pytest.mark.parametrize("what", ["path", "seal", "cancel"])
def test_what_changes_at_this_moment_is_looked_at_anew(ann, storage, monkeypatch, what):
    batch = make_batch(ann)
    actions = {
        "path": lambda: open_session(ann, storage, size=4, batch=batch, path="a"),
        "seal": lambda: seal_batch(UploadBatch.objects.get(pk=batch.pk)),
        "cancel": lambda: cancel_batch(UploadBatch.objects.get(pk=batch.pk), storage=storage),
    }
    just_before(monkeypatch, declarations, "_record", actions[what])
    entries = declare(ann, batch, storage, ("a", 4), ("b", 4))
    expected = {"path": ["resume", "upload"], "seal": ["batch_sealed"] * 2, "cancel": ["batch_cancelled"] * 2}
    assert answers(entries) == expected[what]
    assert drift() == []


def test_a_session_that_another_call_opens_first_is_resumed(ann, storage, monkeypatch):
    batch = make_batch(ann)
    opened = []
    faster = lambda: opened.append(open_session(ann, storage, size=4, batch=batch, path="a"))  # noqa: E731
    just_before(monkeypatch, declarations, "open_declared", faster)
    entry, other = declare(ann, batch, storage, ("a", 4), ("b", 4), open_sessions=True)
    assert (entry.action, entry.session.pk) == ("resume", opened[0].pk)
    assert (other.action, other.session.file.path) == ("upload", "b")


@pytest.mark.parametrize("what", ["failed", "deleted"])
def test_a_file_that_ends_while_its_session_is_opened_is_counted_exactly(ann, storage, monkeypatch, what):
    batch = make_batch(ann)
    end = {
        "failed": lambda: abort_session(open_session(ann, storage, size=4, batch=batch, path="a")),
        "deleted": lambda: delete_file(IngestFile.objects.get(path="a"), storage=storage),
    }
    just_before(monkeypatch, openings, "_make_places", end[what])
    entries = declare(ann, batch, storage, ("a", 4), ("b", 4), open_sessions=True)
    assert answers(entries) == ["upload"] * 2
    assert {entry.session.pk for entry in entries} == set(UploadSession.objects.open().values_list("pk", flat=True))
    assert (counters(batch), drift()) == ((2, 0, 0, 2), [])


def test_sessions_that_were_not_recorded_after_all_are_not_told_of(ann, storage, monkeypatch):
    batch = make_batch(ann)
    just_before(monkeypatch, openings, "move_usage", failing(exceptions.StatusConflict()))
    entries = declare(ann, batch, storage, ("a", 4), ("a", 4), open_sessions=True)
    assert answers(entries) == ["upload", "resume"]
    assert {entry.session.pk for entry in entries} == set(UploadSession.objects.values_list("pk", flat=True))


OTHER = hashlib.sha256(b"DATA").hexdigest()


def test_a_digest_that_is_told_later_is_kept_to(ann, storage):
    batch = make_batch(ann)
    assert answers(declare(ann, batch, storage, ("a", 4))) == ["upload"]
    assert answers(declare(ann, batch, storage, ("a", 4, SHA256))) == ["upload"]
    assert answers(declare(ann, batch, storage, ("a", 4, OTHER), ("a", 4))) == ["path_taken", "path_taken"]
    (refused,) = put(ann, batch, storage, ("a", b"DATA"))
    assert refused.error.code == "path_taken"
    with pytest.raises(exceptions.Sha256Mismatch):
        store_file(ann, storage, b"DATA", batch=batch, path="a")


def test_a_digest_that_the_second_entry_of_a_path_tells_is_kept_to(ann, storage):
    batch = make_batch(ann)
    declare(ann, batch, storage, ("known", 4))
    paths = ("known", "new")
    entries = declare(ann, batch, storage, *((path, 4, sha) for path in paths for sha in ("", SHA256, OTHER, "")))
    assert answers(entries) == ["upload", "upload", "path_taken", "upload"] * 2
    assert set(IngestFile.objects.values_list("path", "declared_sha256")) == {(path, SHA256) for path in paths}


def test_a_digest_that_is_told_while_the_session_is_open_fails_other_bytes(ann, storage):
    batch = make_batch(ann)
    session = ready_session(ann, storage, b"DATA", batch=batch, path="a")
    (entry,) = declare(ann, batch, storage, ("a", 4, SHA256))
    assert (entry.action, entry.session.pk) == ("resume", session.pk)
    assert answers(declare(ann, batch, storage, ("a", 4, OTHER))) == ["path_taken"]
    # As it was seen before the digest was told.
    with pytest.raises(exceptions.Sha256Mismatch):
        finalize_session(session, storage=storage)
    assert (counters(batch), drift()) == ((1, 0, 1, 0), [])


def test_a_digest_that_is_told_at_this_moment_holds_for_what_is_on_its_way(ann, storage, monkeypatch):
    batch = make_batch(ann)
    declare(ann, batch, storage, ("whole", 4), ("session", 4))
    tell = lambda path: lambda: declare(ann, batch, storage, (path, 4, SHA256))  # noqa: E731
    just_before(monkeypatch, whole_records, "record_whole", tell("whole"))
    (refused,) = put(ann, batch, storage, ("whole", b"DATA"))
    assert refused.error.code == "path_taken"
    just_before(monkeypatch, sessions, "make_staging", tell("session"))
    with pytest.raises(exceptions.PathTaken):
        open_session(ann, storage, size=4, batch=batch, path="session")
    declare(ann, batch, storage, ("many", 4))
    just_before(monkeypatch, openings, "_make_places", tell("many"))
    (entry,) = declare(ann, batch, storage, ("many", 4), open_sessions=True)
    assert UploadSession.objects.get(pk=entry.session.pk).declared_sha256 == SHA256


def test_one_session_that_cannot_be_opened_leaves_the_others(ann, storage, monkeypatch):
    batch, original, refused = make_batch(ann), storage.create_staging, []

    def create_staging(key, **options):
        if not refused:
            refused.append(key)
            raise base.StorageUnavailable("once")
        return original(key, **options)

    monkeypatch.setattr(storage, "create_staging", create_staging)
    entries = declare(ann, batch, storage, *((path, 4) for path in "abc"), open_sessions=True)
    assert sorted(answers(entries)) == ["storage_unavailable", "upload", "upload"]
    assert (counters(batch), UploadSession.objects.count(), drift()) == ((3, 0, 0, 3), 2, [])


@pytest.mark.parametrize("options", [{}, {"open_sessions": True}])
def test_the_answer_is_kept_with_what_it_tells(ann, storage, options):
    batch, seen = make_batch(ann), []

    def keep():
        assert in_transaction()
        seen.append((answers(entries), [bool(entry.session) for entry in entries]))

    for expected in ("upload", "resume" if options else "upload"):
        entries = [Entry(path, 4) for path in "ab"]
        declare_files(ann, batch, entries, storage=storage, keep=keep, **options)
        assert seen.pop() == ([expected] * 2, [bool(options)] * 2)
        assert not seen


@pytest.mark.parametrize("options", [{}, {"open_sessions": True}])
def test_an_answer_that_cannot_be_kept_takes_back_what_it_tells(ann, storage, options):
    batch = make_batch(ann)
    lost = failing(exceptions.IdempotencyInProgress())
    with pytest.raises(exceptions.IdempotencyInProgress):
        declare_files(ann, batch, [Entry("a", 4)], storage=storage, keep=lost, **options)
    assert (UploadSession.objects.count(), IngestFile.objects.count()) == (0, len(options))
    assert drift() == []

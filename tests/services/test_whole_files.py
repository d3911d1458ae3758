"""Files that come whole: stored and counted once, each with its own outcome, and no bytes left of the refused."""

import hashlib

import pytest
from django.db import OperationalError

from portal import access
from portal.exceptions import BatchCompleted, BatchSealed, DatabaseUnavailable, NotFound, OutOfSpace, PathTaken
from portal.models import IngestFile, OutboxEvent, OwnerUsage, UploadBatch
from portal.services import outcomes, whole_records
from portal.services.arrivals import SMALL_BYTES, Arrival
from portal.services.cleanup import remove_bytes, sweep_unnamed
from portal.services.files import delete_file
from portal.services.reconcile import find_drift
from portal.services.seals import seal_batch
from portal.services.sessions import abort_session
from portal.services.whole_files import begin_files
from portal.storage import StorageUnavailable
from tests.samples import make_batch, make_caller, open_session, pattern, store_file

pytestmark = pytest.mark.django_db


def arrive(group, path, data, **fields):
    """Let one file arrive in the group; return it."""
    fields = {"original_filename": "a.txt", "content_type": "text/plain"} | fields
    arrival = Arrival(path=path, **fields)
    group.add(arrival)
    arrival.write(data, storage=group.storage)
    return arrival


def take_in(caller, batch, storage, *members, keep=None):
    """Store `(path, data)` pairs as one group; return their arrivals."""
    group = begin_files(caller, batch and batch.pk, storage=storage)
    arrivals = [arrive(group, *member) for member in members]
    group.look()
    group.store()
    group.judge()
    group.record(keep=keep)
    group.close()
    return arrivals


def counted(batch, **expected):
    """The counters are these, and so are the rows."""
    row = UploadBatch.objects.get(pk=batch.pk)
    assert {name: getattr(row, name) for name in expected} == expected
    assert list(find_drift()) == []


def codes(arrivals):
    """Return the code of each refusal, None of what was stored."""
    return [arrival.error and arrival.error.code for arrival in arrivals]


def content(storage, file):
    """Return the bytes of a stored file."""
    with storage.open_object(file.storage_key) as found:
        return found.read(0, found.size)


def test_a_file_is_stored_with_its_digest_event_and_counters(ann, storage):
    batch = make_batch(ann)
    (arrival,) = take_in(ann, batch, storage, ("a/b.txt", b"data"))
    file = IngestFile.objects.get(pk=arrival.file.pk)
    assert arrival.created
    assert (file.status, file.path, file.session_id, file.size_bytes) == ("STORED", "a/b.txt", None, 4)
    assert file.sha256 == hashlib.sha256(b"data").hexdigest()
    assert file.created_at <= file.stored_at
    assert content(storage, file) == b"data"
    counted(batch, total_files=1, stored_count=1, failed_count=0, total_bytes=4, stored_bytes=4, completed_at=None)
    event = OutboxEvent.objects.get()
    assert (event.event_type, event.subject_id, event.file_id) == ("file.uploaded", file.pk, file.pk)
    assert event.payload["file"]["storage"] == {"backend": "memory", "bucket": None, "key": file.storage_key}
    assert event.payload["actor"]["username"] == "ann"


def test_a_file_without_a_batch_counts_nowhere(ann, storage):
    (first,), (second,) = (take_in(ann, None, storage, (None, b"data")) for _ in range(2))
    assert first.file.pk != second.file.pk
    assert IngestFile.objects.filter(batch=None, status="STORED").count() == 2


def test_many_are_recorded_in_one_transaction_in_their_order(ann, storage, django_assert_num_queries):
    batch = make_batch(ann)
    members = [(f"{n % 7}/{n}", pattern(n, seed=n)) for n in range(50)]
    group = begin_files(ann, batch.pk, storage=storage)
    arrivals = [arrive(group, *member) for member in members]
    group.look()
    group.store()
    group.judge()
    OwnerUsage.objects.create(owner=ann.user)
    # Savepoints of the test's own transaction; files, events, counters, whether it is completed, and the owner's.
    with django_assert_num_queries(7):
        group.record()
    counted(batch, total_files=50, stored_count=50, stored_bytes=sum(range(50)))
    assert [arrival.file.pk for arrival in arrivals] == sorted(arrival.file.pk for arrival in arrivals)
    assert [content(storage, arrival.file) for arrival in arrivals] == [data for _, data in members]
    assert OutboxEvent.objects.count() == 50


def test_the_same_bytes_again_are_the_same_file(ann, storage):
    batch = make_batch(ann)
    (first,) = take_in(ann, batch, storage, ("a", b"data"))
    again, other = take_in(ann, batch, storage, ("a", b"data"), ("b", b"data"))
    assert (again.file.pk, again.created) == (first.file.pk, False)
    assert other.created
    counted(batch, total_files=2, stored_count=2)
    assert storage.count_keys("objects") == 2


def test_other_bytes_on_the_path_are_refused_and_leave_nothing(ann, storage):
    batch = make_batch(ann)
    take_in(ann, batch, storage, ("a", b"data"))
    large = pattern(SMALL_BYTES + 1)
    assert codes(take_in(ann, batch, storage, ("a", b"date"))) == ["path_taken"]
    assert codes(take_in(ann, batch, storage, ("a", large), ("b", large))) == ["path_taken", None]
    counted(batch, total_files=2, stored_count=2)
    assert storage.count_keys("objects") == 2


def test_an_uploading_file_keeps_its_path(ann, storage):
    batch = make_batch(ann)
    open_session(ann, storage, size=4, batch=batch, path="a")
    assert codes(take_in(ann, batch, storage, ("a", b"data"))) == ["path_taken"]
    counted(batch, total_files=1, stored_count=0)


def test_a_failed_file_is_opened_again_and_stored(ann, storage):
    batch = make_batch(ann)
    session = open_session(ann, storage, size=10, batch=batch, path="a")
    abort_session(session)
    (arrival,) = take_in(ann, batch, storage, ("a", b"data"))
    file = IngestFile.objects.get(pk=arrival.file.pk)
    assert (file.pk, file.status, file.session_id, file.error) == (session.file_id, "STORED", None, None)
    assert (file.sha256, file.size_bytes) == (hashlib.sha256(b"data").hexdigest(), 4)
    counted(batch, total_files=1, stored_count=1, failed_count=0, total_bytes=4, stored_bytes=4)
    remove_bytes(session, storage=storage)
    assert content(storage, file) == b"data"
    assert sorted(OutboxEvent.objects.values_list("event_type", flat=True)) == ["file.failed", "file.uploaded"]


def test_a_failed_file_and_new_ones_are_stored_together(ann, storage):
    batch = make_batch(ann)
    abort_session(open_session(ann, storage, size=10, batch=batch, path="b"))
    assert codes(take_in(ann, batch, storage, ("a", b"1"), ("b", b"22"), ("c", b"333"))) == [None] * 3
    counted(batch, total_files=3, stored_count=3, failed_count=0, total_bytes=6, stored_bytes=6)


def test_nothing_joins_a_sealed_batch_but_a_failed_file_of_it_may_be_sent_again(ann, storage):
    batch = make_batch(ann)
    abort_session(open_session(ann, storage, size=10, batch=batch, path="b"))
    open_session(ann, storage, size=1, batch=batch, path="c")
    seal_batch(batch)
    assert codes(take_in(ann, batch, storage, ("a", b"1"), ("b", b"22"))) == ["batch_sealed", None]
    counted(batch, total_files=2, stored_count=1, failed_count=0)
    assert storage.count_keys("objects") == 1


def test_a_failed_file_that_failed_once_more_with_another_size_since_the_look_is_counted_right(ann, storage):
    batch = make_batch(ann)
    abort_session(open_session(ann, storage, size=10, batch=batch, path="a"))
    group = begin_files(ann, batch.pk, storage=storage)
    arrival = arrive(group, "a", b"data")
    group.look()
    group.store()
    group.judge()
    abort_session(open_session(ann, storage, size=1000, batch=batch, path="a"))
    group.record()
    group.close()
    assert codes([arrival]) == [None]
    counted(batch, total_files=1, stored_count=1, failed_count=0, total_bytes=4, stored_bytes=4)


def test_a_batch_that_is_sealed_before_the_look_refuses_before_a_byte_is_written(ann, storage):
    batch = make_batch(ann)
    group = begin_files(ann, batch.pk, storage=storage)
    arrival = arrive(group, "a", b"data")
    seal_batch(UploadBatch.objects.get(pk=batch.pk))
    group.look()
    assert codes([arrival]) == ["batch_sealed"]
    group.store()
    group.judge()
    assert storage.count_keys("objects") == 0


def test_a_batch_that_is_sealed_after_the_look_refuses_each_that_would_join(ann, storage):
    batch = make_batch(ann)
    abort_session(open_session(ann, storage, size=10, batch=batch, path="b"))
    group = begin_files(ann, batch.pk, storage=storage)
    arrivals = [arrive(group, path, b"data") for path in "abc"]
    group.look()
    group.store()
    group.judge()
    open_session(ann, storage, size=1, batch=batch, path="d")
    seal_batch(UploadBatch.objects.get(pk=batch.pk))
    group.record()
    group.close()
    assert codes(arrivals) == ["batch_sealed", None, "batch_sealed"]
    counted(batch, total_files=2, stored_count=1)
    assert storage.count_keys("objects") == 1


def test_a_group_stops_exactly_where_the_batch_is_completed(ann, storage):
    batch = make_batch(ann, expected_files=3)
    arrivals = take_in(ann, batch, storage, *((str(n), b"data") for n in range(5)))
    assert codes(arrivals) == [None, None, None, "batch_completed", "batch_completed"]
    counted(batch, total_files=3, stored_count=3)
    assert storage.count_keys("objects") == 3
    assert OutboxEvent.objects.filter(event_type="batch.completed").count() == 1


def test_a_path_that_is_taken_after_the_look_is_compared_then(ann, storage):
    batch = make_batch(ann)
    group = begin_files(ann, batch.pk, storage=storage)
    arrivals = [arrive(group, "same", b"data"), arrive(group, "other", b"data"), arrive(group, "free", b"data")]
    group.look()
    group.store()
    group.judge()
    first = take_in(ann, batch, storage, ("same", b"data"), ("other", b"else"))
    group.record()
    group.close()
    assert codes(arrivals) == [None, "path_taken", None]
    assert (arrivals[0].file.pk, arrivals[0].created) == (first[0].file.pk, False)
    counted(batch, total_files=3, stored_count=3)
    assert storage.count_keys("objects") == 3


def test_what_can_be_known_is_refused_before_the_bytes(ann, storage, settings):
    batch = make_batch(ann, expected_files=1)

    def early(path, **fields):
        arrival = Arrival(path=path, original_filename="a", content_type="x/y", **fields)
        begin_files(ann, batch.pk, storage=storage).refuse_early(arrival)
        return arrival

    assert not early("a").compared
    settings.PORTAL_MIN_FREE_BYTES = 2**50
    with pytest.raises(OutOfSpace):
        early("a")
    settings.PORTAL_MIN_FREE_BYTES = 0
    take_in(ann, batch, storage, ("a", b"data"))
    assert early("a").compared
    assert early("a", length=4).compared
    with pytest.raises(PathTaken):
        early("a", length=5)
    with pytest.raises(BatchCompleted):
        early("b")
    assert batch.expected_files == 1


def test_a_sealed_batch_takes_the_same_bytes_again(ann, storage):
    batch = make_batch(ann)
    take_in(ann, batch, storage, ("a", b"data"))
    seal_batch(batch)
    arrival = Arrival(path="b", original_filename="a", content_type="x/y")
    with pytest.raises(BatchSealed):
        begin_files(ann, batch.pk, storage=storage).refuse_early(arrival)
    assert codes(take_in(ann, batch, storage, ("a", b"data"))) == [None]


def test_a_strangers_batch_is_not_there(ann, bob, storage):
    with pytest.raises(NotFound):
        begin_files(bob, make_batch(ann).pk, storage=storage)


def test_a_full_disk_refuses_those_that_do_not_fit(ann, storage):
    batch = make_batch(ann)
    storage.capacity = 10
    arrivals = take_in(ann, batch, storage, ("a", b"1234567"), ("b", b"12345"), ("c", b"12"))
    assert codes(arrivals) == [None, "insufficient_storage", None]
    counted(batch, total_files=2, stored_bytes=9)
    assert storage.count_keys("objects") == 2


def test_a_sync_that_fails_stores_none_of_them(ann, storage, monkeypatch):
    batch = make_batch(ann)

    def fail(objects):
        raise StorageUnavailable("the disk fails")

    monkeypatch.setattr(storage, "finish_objects", fail)
    assert codes(take_in(ann, batch, storage, ("a", b"1"), ("b", b"2"))) == ["storage_unavailable"] * 2
    counted(batch, total_files=0)
    assert storage.count_keys("objects") == 0


def test_a_commit_whose_answer_is_lost_is_read_back(ann, storage, monkeypatch):
    batch, really = make_batch(ann), whole_records.record_whole

    def lose_the_answer(*arguments, **options):
        really(*arguments, **options)
        raise OperationalError("the connection is gone")

    monkeypatch.setattr(whole_records, "record_whole", lose_the_answer)
    monkeypatch.setattr(whole_records.connection, "close", lambda: None)
    assert codes(take_in(ann, batch, storage, ("a", b"1"), ("b", b"2"))) == [None, None]
    counted(batch, total_files=2, stored_count=2)
    assert storage.count_keys("objects") == 2


def test_bytes_of_a_commit_that_may_still_land_are_left_to_the_sweep(ann, storage, monkeypatch):
    def fail(*arguments, **options):
        raise OperationalError("the connection is gone")

    monkeypatch.setattr(outcomes.outbox, "record_files_uploaded", fail)
    monkeypatch.setattr(whole_records.connection, "close", lambda: None)
    (arrival,) = take_in(ann, make_batch(ann), storage, ("a", b"1"))
    assert isinstance(arrival.error, DatabaseUnavailable)
    assert storage.count_keys("objects") == 1
    sweep_unnamed(storage=storage, older_than=-60)
    assert storage.count_keys("objects") == 0


def test_what_is_kept_is_kept_in_the_same_transaction(ann, storage):
    kept = []
    (arrival,) = take_in(ann, None, storage, (None, b"data"), keep=kept.append)
    assert kept == [arrival.file]


def test_a_whole_file_is_deleted_with_its_bytes_and_never_swept_before(ann, storage):
    batch = make_batch(ann)
    (arrival,) = take_in(ann, batch, storage, ("a", b"data"))
    sweep_unnamed(storage=storage, older_than=-60)
    assert content(storage, arrival.file) == b"data"
    delete_file(access.get_own_file(ann, arrival.file.pk), storage=storage)
    assert storage.count_keys("objects") == 0
    counted(batch, total_files=0, stored_count=0, total_bytes=0)


def test_a_deleted_file_that_is_only_compared_is_asked_for_again(ann, storage):
    batch = make_batch(ann)
    (stored,) = take_in(ann, batch, storage, ("a", b"data"))
    group = begin_files(ann, batch.pk, storage=storage)
    arrival = Arrival(path="a", original_filename="a", content_type="x/y")
    group.add(arrival)
    group.refuse_early(arrival)
    arrival.write(b"data", storage=storage)
    delete_file(stored.file, storage=storage)
    group.look()
    assert codes([arrival]) == ["status_conflict"]


def test_a_file_of_a_session_is_the_same_file_when_it_comes_whole(ann, storage):
    batch = make_batch(ann)
    file = store_file(ann, storage, b"data", batch=batch, path="a")
    (arrival,) = take_in(ann, batch, storage, ("a", b"data"))
    assert arrival.file.pk == file.pk


def test_paths_of_other_batches_do_not_matter(ann, storage):
    first, second = make_batch(ann), make_batch(make_caller("ann"))
    take_in(ann, first, storage, ("a", b"data"))
    assert codes(take_in(ann, second, storage, ("a", b"else"))) == [None]

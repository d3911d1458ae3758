"""The way of a file with a real S3 server behind it: parts, claims instead of locks, finalize, clean-up."""

from contextlib import suppress
from datetime import timedelta

import pytest

from portal.exceptions import MissingParts, PartBusy, PartConflict, StorageUnavailable
from portal.models import IngestFile, OutboxEvent, PartClaim, UploadSession
from portal.services.cleanup import expire_sessions, remove_dead_bytes, sweep_unnamed
from portal.services.declarations import declare_files
from portal.services.entries import Entry
from portal.services.files import delete_file, open_content
from portal.services.finalize import finalize_again, finalize_session
from portal.services.parts import begin_part
from portal.services.presign import complete_part
from portal.services.sessions import abort_session, received_ranges
from portal.services.verify import verify_sessions, verify_stored
from portal.storage.s3 import S3Storage
from tests.samples import make_batch, open_session, pattern, ready_session, send_part, send_parts, store_file
from tests.services.situations import counters, session_row, set_columns

CHUNK = 5 * 2**20
DATA = pattern(2 * CHUNK + 7)


@pytest.fixture(params=["rclone", "ministack"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def session(ann, storage):
    """A session of three parts."""
    return open_session(ann, storage, size=len(DATA), chunk_size_bytes=CHUNK, batch=make_batch(ann))


def part(number):
    return DATA[(number - 1) * CHUNK : number * CHUNK]


def write(writer, data):
    writer.write(data)
    writer.sync()


def test_parts_in_any_order_become_one_object_that_the_event_names(ann, storage, server, bucket, session):
    assert session.upload_id
    assert server.uploads(bucket) == [storage.public_key(session.object_key)]
    for number in (3, 1, 2):
        send_part(ann, storage, session, number, part(number))
    session.refresh_from_db()
    file = finalize_session(session, storage=storage)
    key = f"portal/objects/{session.object_key}"
    assert server.objects(bucket) == {key: DATA}
    assert server.uploads(bucket) == []
    assert file.storage_key == session.object_key
    assert OutboxEvent.objects.get().payload["file"]["storage"] == {"backend": "s3", "bucket": bucket, "key": key}
    assert counters(file.batch) == (1, 1, 0, 0)
    assert [found for _, found in verify_stored(storage=storage)] == [None]
    assert not PartClaim.objects.exists()


@pytest.mark.parametrize("data", [b"", b"small", pattern(CHUNK)])
def test_a_file_of_one_part_or_none_needs_no_upload(ann, storage, server, bucket, data):
    session = open_session(ann, storage, size=len(data), chunk_size_bytes=CHUNK)
    assert (session.upload_id, server.uploads(bucket)) == ("", [])
    send_parts(ann, storage, session, data)
    file = finalize_session(session_row(session), storage=storage)
    assert list(server.objects(bucket).values()) == [data]
    with open_content(ann, file.pk, storage=storage).stored as stored:
        assert stored.read(0, len(data) + 1) == data


def test_the_first_bytes_of_a_part_stay(ann, storage, session):
    send_part(ann, storage, session, 2, part(2))
    send_part(ann, storage, session, 2, part(2))
    with pytest.raises(PartConflict):
        send_part(ann, storage, session, 2, part(1))
    assert received_ranges(session) == [[2, 2]]


# Claims


def test_of_two_writers_one_has_the_claim(ann, storage, session):
    first, second = (begin_part(ann, session.pk, 1, CHUNK, storage=storage) for _ in range(2))
    assert first.acquire()
    assert not second.acquire()
    first.close()
    assert second.acquire()
    write(second, part(1))
    second.record()
    second.close()
    assert not PartClaim.objects.exists()


def test_a_writer_that_waited_finds_the_part_recorded(ann, storage, session):
    first, second = (begin_part(ann, session.pk, 1, CHUNK, storage=storage) for _ in range(2))
    assert first.acquire()
    assert not second.acquire()
    write(first, part(1))
    first.record()
    first.close()
    assert second.acquire()
    assert second.recorded
    assert not PartClaim.objects.exists()


def test_a_claim_of_a_dead_process_is_taken_over_and_lost_for_good(ann, storage, session):
    dead, alive = (begin_part(ann, session.pk, 1, CHUNK, storage=storage) for _ in range(2))
    assert dead.acquire()
    write(dead, part(1))
    PartClaim.objects.update(lease_until=session.created_at)
    assert alive.acquire()
    with pytest.raises(PartBusy):
        dead.record()
    assert received_ranges(session) == []
    dead.close()
    write(alive, part(1))
    alive.record()
    alive.close()
    assert received_ranges(session) == [[1, 1]]


# Finalize


def test_a_part_that_is_another_in_the_store_is_missing_again(ann, ministack):
    bucket = ministack.new_bucket()
    storage = S3Storage(ministack.storage_url(bucket))
    session = ready_session(ann, storage, DATA, chunk_size_bytes=CHUNK, batch=make_batch(ann))
    set_columns(session, presigned=True)
    # As an old presigned URL would do it.
    ministack.client.upload_part(
        **storage.name("objects", session.object_key), UploadId=session.upload_id, PartNumber=2, Body=part(1)
    )
    with pytest.raises(MissingParts) as caught:
        finalize_session(session, storage=storage)
    assert caught.value.extra == {"missing_parts": [[2, 2]]}
    row = session_row(session)
    assert (row.status, row.completed_parts, row.received_bytes) == ("IN_PROGRESS", 2, len(DATA) - CHUNK)
    assert row.file.status == "UPLOADING"
    # Nobody has acknowledged what the store has now, so asking again does not take it up.
    with pytest.raises(MissingParts):
        finalize_session(session_row(session), storage=storage)
    with pytest.raises(PartConflict):
        complete_part(session_row(session), 2, storage=storage)
    send_part(ann, storage, session, 2, part(2))
    assert finalize_session(session_row(session), storage=storage).status == "STORED"
    assert list(ministack.objects(bucket).values()) == [DATA]


def test_an_object_of_one_part_that_is_another_in_the_store_is_missing_again(ann, storage, server, bucket):
    session = ready_session(ann, storage, b"right")
    server.client.put_object(**storage.name("objects", session.object_key), Body=b"wrong")
    with pytest.raises(MissingParts):
        finalize_session(session, storage=storage)
    # Where the store knows conditions, the next one goes around what is there, by an upload.
    with suppress(PartBusy):
        send_part(ann, storage, session, 1, b"right")
    session.refresh_from_db()
    send_part(ann, storage, session, 1, b"right")
    assert finalize_session(session_row(session), storage=storage).status == "STORED"
    assert list(server.objects(bucket).values()) == [b"right"]
    assert server.uploads(bucket) == []


def test_an_upload_that_is_gone_is_a_fault_and_at_last_a_failure(ann, storage, session):
    send_part(ann, storage, session, 1, part(1))
    storage.remove_staging(session.staging_key)
    with pytest.raises(StorageUnavailable, match="cannot be found"):
        send_part(ann, storage, session, 2, part(2))
    set_columns(session, completed_parts=3, received_bytes=len(DATA))
    assert finalize_session(session_row(session), storage=storage) is None
    for _ in range(7):
        UploadSession.objects.update(lease_until=session.created_at)
        finalize_again(storage=storage)
    # A store may be putting it together all the while.
    assert session_row(session).status == "FINALIZING"
    UploadSession.objects.update(lease_until=session.created_at, status_at=session.created_at - timedelta(hours=3))
    finalize_again(storage=storage)
    assert session_row(session).file.error["code"] == "bytes_damaged"


def test_a_bucket_that_is_gone_is_no_lost_file(ann, storage, server, bucket):
    session = ready_session(ann, storage, b"data")
    key = storage.name("objects", session.object_key)
    server.client.delete_object(**key)
    server.client.delete_bucket(Bucket=bucket)
    for _ in range(7):
        finalize_session(session, storage=storage)
        # Long enough for a file to be called damaged.
        long_ago = session.created_at - timedelta(hours=3)
        UploadSession.objects.update(lease_until=session.created_at, status_at=long_ago)
    assert session_row(session).status == "FINALIZING"


# Clean-up


@pytest.mark.parametrize("end", ["abort", "expire"])
@pytest.mark.parametrize("size", [4, len(DATA)])
def test_what_is_given_up_leaves_nothing_in_the_bucket(ann, storage, server, bucket, size, end):
    session = open_session(ann, storage, size=size, chunk_size_bytes=CHUNK)
    send_part(ann, storage, session, 1, DATA[: min(size, CHUNK)])
    if end == "abort":
        abort_session(session_row(session))
        remove_dead_bytes(storage=storage)
    else:
        UploadSession.objects.update(expires_at=session.created_at)
        assert expire_sessions(storage=storage) == 1
    assert (server.uploads(bucket), server.objects(bucket)) == ([], {})
    assert session_row(session).bytes_removed


def test_a_deleted_file_leaves_nothing_in_the_bucket(ann, storage, server, bucket):
    file = store_file(ann, storage, DATA, chunk_size_bytes=CHUNK)
    delete_file(IngestFile.objects.get(pk=file.pk), storage=storage)
    assert (server.uploads(bucket), server.objects(bucket)) == ([], {})


def test_the_sweep_takes_what_no_row_names_and_only_of_ours(ann, storage, server, bucket, session):
    client, one = server.client, open_session(ann, storage, size=4)
    send_part(ann, storage, one, 1, b"data")
    stored = store_file(ann, storage, b"stored")
    kept = set(server.objects(bucket))
    unnamed = f"portal/objects/aa/bb/{'0' * 28}bbaa"
    foreign = ["portal/other", "elsewhere/aa/bb/" + "0" * 32, "portal/objects/readme"]
    for key in [unnamed, *foreign]:
        client.create_multipart_upload(Bucket=bucket, Key=key)
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert sweep_unnamed(storage=storage, older_than=-60) == 2
    ours = storage.public_key(session.object_key)
    assert sorted(server.uploads(bucket)) == sorted([*foreign, ours])
    assert set(server.objects(bucket)) - {f"portal/trash/objects-aa-bb-{'0' * 28}bbaa"} == {*kept, *foreign}
    assert IngestFile.objects.get(pk=stored.pk).status == "STORED"


def test_recorded_parts_are_compared_with_the_store(ann, storage, server, session):
    send_part(ann, storage, session, 1, part(1))
    ready_session(ann, storage, b"one part")
    open_session(ann, storage, size=4)
    assert list(verify_sessions(storage=storage)) == []
    set_columns(session.parts.get(), etag='"other"')
    assert [found.code for found in verify_sessions(storage=storage)] == ["part_differs"]
    storage.remove_staging(session.staging_key)
    assert [found.code for found in verify_sessions(storage=storage)] == ["missing"]


def test_parts_are_listed_page_by_page_from_any_number_on(storage, server, session):
    name = storage.name("objects", session.object_key)
    for number in range(1, 8):
        server.client.upload_part(**name, UploadId=session.upload_id, PartNumber=number, Body=b"x")
    really, storage_client = storage.client.list_parts, storage.client
    try:
        storage_client.list_parts = lambda **options: really(**options, MaxParts=2)
        for after in range(8):
            found = [part.number for part in storage.list_parts(session.object_key, session.upload_id, after=after)]
            assert found == list(range(after + 1, 8))
    finally:
        storage_client.list_parts = really


def test_what_is_known_is_copied_by_the_store_and_outlives_the_first(ann, storage, server, bucket):
    first, batch = store_file(ann, storage, DATA, chunk_size_bytes=CHUNK), make_batch(ann)
    entries = [Entry(path, len(DATA), first.sha256) for path in "ab"]
    declare_files(ann, batch, entries, storage=storage)
    assert [entry.action for entry in entries] == ["stored"] * 2
    assert len(server.objects(bucket)) == 3
    delete_file(IngestFile.objects.get(pk=first.pk), storage=storage)
    files = IngestFile.objects.filter(batch=batch)
    assert server.objects(bucket) == {f"portal/objects/{file.storage_key}": DATA for file in files}
    assert [found for _, found in verify_stored(storage=storage)] == [None] * 2
    assert counters(batch) == (2, 2, 0, 0)


def test_what_the_store_does_not_copy_is_uploaded(ann, storage, server, bucket):
    first, batch = store_file(ann, storage, b"data"), make_batch(ann)
    gone = store_file(ann, storage, b"gone")
    server.client.delete_object(**storage.name("objects", gone.storage_key))
    entries = [Entry("a", 4, gone.sha256), Entry("b", 4, first.sha256)]
    declare_files(ann, batch, entries, storage=storage)
    assert [entry.action for entry in entries] == ["upload", "stored"]
    assert len(server.objects(bucket)) == 2


def test_a_store_that_does_not_answer_leaves_them_to_be_uploaded(ann, storage, bucket):
    entry = Entry("a", 4, store_file(ann, storage, b"data").sha256)
    away = S3Storage(f"s3://{bucket}/portal?endpoint_url=http://127.0.0.1:9&region=us-east-1")
    declare_files(ann, make_batch(ann), [entry], storage=away)
    assert entry.action == "upload"

"""Writers that come late to an S3 store: they lost their claim, or their answer, and change nothing of others."""

import base64
import errno
import hashlib
from contextlib import suppress
from datetime import timedelta

import pytest
import requests
from botocore.exceptions import ClientError
from django.db.models.functions import Now

from portal.exceptions import (
    MissingParts,
    OutOfSpace,
    PartBusy,
    PartConflict,
    PortalError,
    SessionClosed,
    StorageError,
    StorageUnavailable,
)
from portal.models import PartClaim, UploadSession
from portal.services import cleanup, finalize, part_claims, presign, whole_files
from portal.services.arrivals import Arrival
from portal.services.cleanup import remove_bytes, remove_dead_bytes, sweep_unnamed
from portal.services.finalize import finalize_session
from portal.services.parts import begin_part
from portal.services.presign import presign_parts
from portal.services.sessions import abort_session, received_ranges
from portal.services.uploads import ensure_upload
from portal.services.verify import verify_sessions
from portal.storage import s3_writes, spool
from portal.storage.local import LocalStorage
from portal.storage.s3 import S3Storage
from tests.samples import open_session, pattern, ready_session, send_part
from tests.services.situations import just_before, session_row

CHUNK = 5 * 2**20
DATA = pattern(2 * CHUNK + 7)


def part(number):
    return DATA[(number - 1) * CHUNK : number * CHUNK]


def begin(caller, storage, session, number, data):
    """Return a writer that has the claim and all of its body."""
    writer = begin_part(caller, session.pk, number, len(data), storage=storage)
    assert writer.acquire()
    writer.write(data)
    return writer


def let_claims_run_out():
    PartClaim.objects.update(lease_until=Now() - timedelta(seconds=1))


def answers(monkeypatch, storage, call, code, status, *, really=False):
    """The store answers each `call` with an error, having done it `really` or not."""
    inner = getattr(storage.client, call)

    def answer(**options):
        if really:
            inner(**options)
        response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(response, call)

    monkeypatch.setattr(storage.client, call, answer)


# A claim that was lost


def test_a_late_put_leaves_a_stored_file_alone(ann, storage, ministack, bucket, monkeypatch):
    session = open_session(ann, storage, size=5)
    late = begin(ann, storage, session, 1, b"AAAAA")

    def others():
        let_claims_run_out()
        send_part(ann, storage, session, 1, b"BBBBB")
        assert finalize_session(session_row(session), storage=storage).status == "STORED"

    just_before(monkeypatch, storage.client, "put_object", others)
    late.sync()
    with pytest.raises(SessionClosed):
        late.record()
    late.close()
    assert list(ministack.objects(bucket).values()) == [b"BBBBB"]


def test_a_late_put_leaves_a_file_alone_that_went_past_the_portal(ann, storage, ministack, bucket, monkeypatch):
    session = open_session(ann, storage, size=5)
    late = begin(ann, storage, session, 1, b"BBBBB")

    def others():
        let_claims_run_out()
        (signed,), _ = presign_parts(session_row(session), [[1, 1]], storage=storage)
        assert requests.put(signed["url"], data=b"BBBBB", timeout=60).status_code == 200
        assert finalize_session(session_row(session), storage=storage).status == "STORED"

    just_before(monkeypatch, storage.client, "put_object", others)
    deleted = []
    monkeypatch.setattr(storage.client, "delete_object", lambda **options: deleted.append(options))
    late.sync()
    with pytest.raises(SessionClosed):
        late.record()
    late.close()
    assert (deleted, list(ministack.objects(bucket).values())) == ([], [b"BBBBB"])


def test_other_bytes_at_the_key_are_gone_around_by_an_upload(ann, storage, ministack, bucket):
    session = open_session(ann, storage, size=5)
    dead = begin(ann, storage, session, 1, b"AAAAA")
    dead.sync()
    let_claims_run_out()
    with pytest.raises(PartBusy):
        send_part(ann, storage, session, 1, b"BBBBB")
    send_part(ann, storage, session, 1, b"BBBBB")
    dead.close()
    assert finalize_session(session_row(session), storage=storage).sha256 is not None
    assert list(ministack.objects(bucket).values()) == [b"BBBBB"]
    assert ministack.uploads(bucket) == []


def test_a_late_part_makes_its_part_missing_and_never_another_file(ann, storage, monkeypatch):
    session = open_session(ann, storage, size=len(DATA), chunk_size_bytes=CHUNK)
    send_part(ann, storage, session, 1, part(1))
    send_part(ann, storage, session, 3, part(3))
    late = begin(ann, storage, session, 2, part(1))

    def others():
        let_claims_run_out()
        send_part(ann, storage, session, 2, part(2))

    just_before(monkeypatch, storage.client, "upload_part", others)
    late.sync()
    with pytest.raises(PortalError):
        late.record()
    late.close()
    for _ in range(3):
        with pytest.raises(MissingParts):
            finalize_session(session_row(session), storage=storage)
    assert received_ranges(session) == [[1, 1], [3, 3]]


def test_nothing_is_sent_once_a_claim_was_not_renewed_for_too_long(ann, storage, monkeypatch):
    session = open_session(ann, storage, size=5)
    writer = begin(ann, storage, session, 1, b"AAAAA")
    monkeypatch.setattr(part_claims.Keeper, "is_fresh", lambda *_: False)
    puts = []
    monkeypatch.setattr(storage.client, "put_object", lambda **options: puts.append(options))
    with pytest.raises(PartBusy):
        writer.sync()
    writer.close()
    assert puts == []


def test_a_body_that_is_being_sent_stops_when_its_claim_was_not_renewed(ann, storage, ministack, bucket, monkeypatch):
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    session = open_session(ann, storage, size=5)
    writer = begin(ann, storage, session, 1, b"AAAAA")
    just_before(
        monkeypatch,
        storage.client,
        "put_object",
        lambda: monkeypatch.setattr(part_claims.Keeper, "is_fresh", lambda *_: False),
    )
    with pytest.raises(PortalError):
        writer.sync()
    writer.close()
    assert ministack.objects(bucket) == {}


# An answer that was lost


def test_what_an_earlier_writer_put_is_not_taken_for_the_upload(ann, storage, ministack, bucket):
    session = open_session(ann, storage, size=5)
    dead = begin(ann, storage, session, 1, b"AAAAA")
    dead.sync()
    let_claims_run_out()
    (signed,), _ = presign_parts(session_row(session), [[1, 1]], storage=storage)
    assert requests.put(signed["url"], data=b"BBBBB", timeout=60).status_code == 200
    dead.close()
    just = session_row(session)
    finalize.pick_up_parts(just, storage=storage)
    storage.remove_staging(session.staging_key)
    with pytest.raises(MissingParts):
        finalize_session(session_row(session), storage=storage)
    with suppress(PartBusy):
        send_part(ann, storage, session, 1, b"BBBBB")
    send_part(ann, storage, session, 1, b"BBBBB")
    finalize_session(session_row(session), storage=storage)
    assert list(ministack.objects(bucket).values()) == [b"BBBBB"]


def test_the_only_part_that_became_another_is_missing_however_often_finalize_is_asked(ann, storage):
    session = open_session(ann, storage, size=5)
    (signed,), _ = presign_parts(session, [[1, 1]], storage=storage)
    assert requests.put(signed["url"], data=b"BBBBB", timeout=60).status_code == 200
    presign.complete_part(session_row(session), 1, storage=storage)
    assert requests.put(signed["url"], data=b"AAAAA", timeout=60).status_code == 200
    for _ in range(3):
        with pytest.raises(MissingParts):
            finalize_session(session_row(session), storage=storage)
    send_part(ann, storage, session, 1, b"BBBBB")
    assert finalize_session(session_row(session), storage=storage).status == "STORED"


@pytest.mark.parametrize("server", ["rclone", "ministack"])
def test_a_file_of_one_part_whose_finalize_lost_its_answer_is_there(ann, request, server, monkeypatch):
    server = request.getfixturevalue(server)
    storage = S3Storage(server.storage_url())
    session = open_session(ann, storage, size=5)
    (signed,), _ = presign_parts(session, [[1, 1]], storage=storage)
    assert requests.put(signed["url"], data=b"BBBBB", timeout=60).status_code == 200
    answers(monkeypatch, storage, "complete_multipart_upload", "NoSuchUpload", 404, really=True)
    assert finalize_session(session_row(session), storage=storage).status == "STORED"
    monkeypatch.undo()


def test_a_gateway_that_knows_nothing_is_a_fault_and_loses_nothing(ann, storage, monkeypatch):
    session = ready_session(ann, storage, DATA, chunk_size_bytes=CHUNK)
    with monkeypatch.context() as broken:
        answers(broken, storage, "complete_multipart_upload", "404", 404)
        assert finalize_session(session, storage=storage) is None
        answers(broken, storage, "create_multipart_upload", "404", 404)
        with pytest.raises(StorageUnavailable):
            open_session(ann, storage, size=len(DATA), chunk_size_bytes=CHUNK)
    UploadSession.objects.update(lease_until=session.created_at)
    assert finalize_session(session_row(session), storage=storage).status == "STORED"


def test_a_store_that_refuses_the_parts_for_good_fails_the_file_when_its_time_is_over(ann, storage, monkeypatch):
    session = ready_session(ann, storage, DATA, chunk_size_bytes=CHUNK)
    answers(monkeypatch, storage, "complete_multipart_upload", "EntityTooSmall", 400)
    assert finalize_session(session, storage=storage) is None
    UploadSession.objects.update(lease_until=session.created_at, expires_at=session.created_at)
    with pytest.raises(StorageError):
        finalize_session(session_row(session), storage=storage)
    assert session_row(session).file.error["code"] == "storage_error"


def test_a_whole_file_whose_answer_was_lost_is_there(ann, storage, ministack, bucket, monkeypatch):
    group, arrival = arriving(ann, storage, pattern(17 * 2**20))
    answers(monkeypatch, storage, "complete_multipart_upload", "NoSuchUpload", 404, really=True)
    group.store()
    group.judge()
    group.record()
    assert arrival.error is None
    assert ministack.objects(bucket) == {storage.public_key(arrival.file.storage_key): pattern(17 * 2**20)}


def arriving(caller, storage, data):
    """Return a group and its arrival, which has all of its bytes."""
    group = whole_files.begin_files(caller, None, storage=storage)
    arrival = Arrival(original_filename="x", content_type="a/b")
    group.add(arrival)
    arrival.write(data, storage=storage)
    arrival.finish()
    return group, arrival


def test_a_whole_file_that_takes_half_a_day_is_refused(ann, storage, monkeypatch, ministack, bucket):
    group, arrival = arriving(ann, storage, pattern(9 * 2**20))
    now = s3_writes.time.monotonic()
    monkeypatch.setattr(s3_writes.time, "monotonic", lambda: now + 13 * 3600)
    with pytest.raises(StorageUnavailable):
        arrival.write(pattern(9 * 2**20), storage=storage)
    group.close()
    assert ministack.uploads(bucket) == []


def test_a_whole_file_may_have_more_than_ten_thousand_first_parts():
    sizes = [s3_writes.whole_part_size(number) for number in range(1, 10_001)]
    assert sizes[:1000] == [8 * 2**20] * 1000
    assert sum(sizes) > 5 * 2**40
    assert max(sizes) <= 5 * 2**30


def test_an_object_of_unknown_length_is_cut_by_the_number_of_the_part(storage, monkeypatch):
    monkeypatch.setattr(s3_writes, "whole_part_size", lambda number: number * CHUNK)
    key, data = f"bb/aa/{'0' * 28}aabb", pattern(4 * CHUNK)
    with storage.create_object(key) as new:
        new.write(data)
        assert [part["PartNumber"] for part in new._parts] == [1, 2]
        storage.finish_objects([new])
    with storage.open_object(key) as found:
        assert found.read(0, len(data)) == data
        assert found.etag.endswith('-3"')


@pytest.mark.parametrize("code", ["NotImplemented", "ConditionalRequestConflict"])
def test_a_store_without_conditions_or_with_another_put_under_way_is_asked_again(ann, storage, monkeypatch, code):
    really, asked = storage.client.put_object, []

    def refuse_first(**options):
        asked.append(options.get("IfNoneMatch"))
        if len(asked) == 1:
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 501}}, "put_object")
        return really(**options)

    monkeypatch.setattr(storage.client, "put_object", refuse_first)
    session = open_session(ann, storage, size=5)
    send_part(ann, storage, session, 1, b"right")
    assert asked == ["*", None if code == "NotImplemented" else "*"]


@pytest.mark.parametrize(("call", "size"), [("put_object", 5), ("upload_part", CHUNK + 1)])
def test_a_body_goes_with_its_md5(ann, storage, monkeypatch, call, size):
    really, sent = getattr(storage.client, call), []

    def note(**options):
        sent.append(options["ContentMD5"])
        return really(**options)

    monkeypatch.setattr(storage.client, call, note)
    session = open_session(ann, storage, size=size, chunk_size_bytes=CHUNK)
    data = DATA[: min(size, CHUNK)]
    send_part(ann, storage, session, 1, data)
    assert sent == [base64.b64encode(hashlib.md5(data).digest()).decode()]


def test_a_part_that_somebody_recorded_meanwhile_is_told_so(ann, storage, monkeypatch):
    session = open_session(ann, storage, size=5)
    late = begin(ann, storage, session, 1, b"AAAAA")

    def others():
        let_claims_run_out()
        send_part(ann, storage, session, 1, b"BBBBB")

    just_before(monkeypatch, storage.client, "put_object", others)
    late.sync()
    with pytest.raises(PartConflict):
        late.record()
    late.close()
    assert session_row(session).upload_id == ""


def test_an_upload_that_somebody_else_made_first_is_the_one(ann, storage, monkeypatch, ministack, bucket):
    session = open_session(ann, storage, size=5)
    others = []
    just_before(
        monkeypatch,
        storage,
        "create_staging",
        lambda: others.append(ensure_upload(session.pk, storage=storage)),
    )
    assert ensure_upload(session.pk, storage=storage) == others[0] == session_row(session).upload_id
    assert len(ministack.uploads(bucket)) == 1


def test_a_part_that_becomes_disputed_meanwhile_is_not_taken_up(ann, storage, monkeypatch):
    session = open_session(ann, storage, size=len(DATA), chunk_size_bytes=CHUNK)
    signed, _ = presign_parts(session, [[1, 2]], storage=storage)
    for number in (1, 2):
        assert requests.put(signed[number - 1]["url"], data=part(number), timeout=60).status_code == 200
    just_before(
        monkeypatch,
        presign,
        "claim_parts",
        lambda: UploadSession.objects.filter(pk=session.pk).update(disputed_parts=[2]),
    )
    assert presign.pick_up_parts(session_row(session), storage=storage) == 1
    assert received_ranges(session) == [[1, 1]]


# Ends


def test_a_store_that_finds_nothing_to_delete_is_content(ann, storage, monkeypatch):
    session = open_session(ann, storage, size=5)
    abort_session(session_row(session))
    answers(monkeypatch, storage, "delete_object", "NoSuchKey", 404)
    remove_bytes(session_row(session), storage=storage)
    assert session_row(session).bytes_removed


@pytest.mark.parametrize("size", [5, len(DATA)])
def test_a_part_on_its_way_when_its_session_ends_is_told_so_and_leaves_nothing(
    ann, storage, ministack, bucket, monkeypatch, size
):
    session = open_session(ann, storage, size=size, chunk_size_bytes=CHUNK)
    writer = begin(ann, storage, session, 1, DATA[: min(size, CHUNK)])

    def others():
        abort_session(session_row(session))
        remove_dead_bytes(storage=storage)

    just_before(monkeypatch, storage.client, "put_object" if size == 5 else "upload_part", others)
    writer.sync()
    with pytest.raises(SessionClosed):
        writer.record()
    writer.close()
    assert (ministack.objects(bucket), ministack.uploads(bucket)) == ({}, [])


def test_a_disk_that_is_full_is_told_before_the_body_or_at_its_end(ann, storage, monkeypatch):
    session = open_session(ann, storage, size=CHUNK, chunk_size_bytes=CHUNK)
    writer = begin_part(ann, session.pk, 1, CHUNK, storage=storage)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(spool.os, "posix_fallocate", full)
        with pytest.raises(OutOfSpace):
            writer.acquire()
    writer.close()
    writer = begin(ann, storage, session, 1, DATA[:CHUNK])
    with monkeypatch.context() as broken:
        broken.setattr(writer.place.range._spool._file, "seek", full)
        with pytest.raises(OutOfSpace):
            writer.sync()
    writer.close()


def test_a_session_of_another_storage_is_a_fault_and_not_a_crash(ann, storage, tmp_path):
    folder = LocalStorage(tmp_path / "storage")
    session = open_session(ann, folder, size=len(DATA), chunk_size_bytes=CHUNK)
    with pytest.raises(StorageUnavailable):
        begin_part(ann, session.pk, 1, CHUNK, storage=storage).acquire()
    with pytest.raises(StorageUnavailable):
        presign_parts(session, [[1, 1]], storage=storage)
    single = open_session(ann, folder, size=4)
    with pytest.raises(StorageUnavailable):
        begin_part(ann, single.pk, 1, 4, storage=storage).acquire()
    assert [found.code for found in verify_sessions(storage=storage)] == ["missing", "missing"]
    ready = ready_session(ann, folder, b"data")
    assert finalize_session(ready, storage=storage) is None
    assert finalize_session(session_row(ready), storage=storage) is None


def test_presigning_keeps_a_session_open(ann, storage):
    session = open_session(ann, storage, size=len(DATA), chunk_size_bytes=CHUNK)
    UploadSession.objects.update(expires_at=Now() + timedelta(seconds=5))
    presign_parts(session, [[1, 1]], storage=storage)
    assert session_row(session).expires_at > session.created_at + timedelta(hours=100)


def test_a_sweep_that_refuses_one_kind_does_the_others(storage, monkeypatch, db, ministack, bucket):
    monkeypatch.setattr(cleanup, "SWEEP_LIMIT", 2)
    for number in range(4):
        key = f"aa/aa/{number:028x}aaaa"
        ministack.client.create_multipart_upload(**storage.name("objects", key))
    ministack.client.put_object(**storage.name("objects", "aa/aa/" + "a" * 32), Body=b"x")
    with pytest.raises(StorageUnavailable, match="Refused"):
        sweep_unnamed(storage=storage, older_than=-60)
    assert all("/trash/" in key for key in ministack.objects(bucket))
    assert len(ministack.uploads(bucket)) == 4

"""The body of a part: short, without its digest, too large for the disk, or lost on it: nothing is recorded."""

import hashlib
from contextlib import closing
from datetime import timedelta

import pytest
from django.utils import timezone

from portal import exceptions
from portal.models import UploadPart
from portal.services.parts import begin_part
from portal.storage import base
from tests.samples import CHUNK, open_session, pattern, send_part
from tests.services.situations import failing, let_lifetime_end, progress, session_row, staged


@pytest.fixture
def session(ann, storage):
    """An open session of three parts, the last of 100 bytes."""
    return open_session(ann, storage, size=2 * CHUNK + 100)


def test_a_short_body_stores_nothing(ann, storage, session):
    with pytest.raises(exceptions.BodyIncomplete):
        send_short(ann, storage, session)
    assert progress(session) == (0, 0, 0)
    send_part(ann, storage, session, 1, pattern(CHUNK))
    assert staged(storage, session)[:CHUNK] == pattern(CHUNK)


def send_short(caller, storage, session):
    """Send all of part 1 but its last byte."""
    with closing(begin_part(caller, session.pk, 1, CHUNK, storage=storage)) as writer:
        assert writer.acquire()
        writer.write(bytes(CHUNK - 1))
        writer.sync()


def test_a_short_body_of_a_part_on_record_is_refused_too(ann, storage, session):
    send_part(ann, storage, session, 1, bytes(CHUNK))
    with closing(begin_part(ann, session.pk, 1, CHUNK, storage=storage)) as writer:
        writer.write(bytes(CHUNK - 1))
        with pytest.raises(exceptions.BodyIncomplete):
            writer.sync()


def send_with_digest(caller, storage, session, data, digest):
    """Send part 1 with a SHA-256 that was declared for it."""
    writer = begin_part(caller, session.pk, 1, len(data), storage=storage, expected_sha256=digest)
    with closing(writer):
        assert writer.recorded or writer.acquire()
        writer.write(data)
        writer.sync()
        return writer.record()


def test_a_body_without_the_digest_that_was_declared_stores_nothing(ann, storage, session):
    data = pattern(CHUNK)
    with pytest.raises(exceptions.DigestMismatch):
        send_with_digest(ann, storage, session, data, b"\0" * 32)
    assert progress(session) == (0, 0, 0)
    send_with_digest(ann, storage, session, data, hashlib.sha256(data).digest())
    assert UploadPart.objects.get().sha256 == hashlib.sha256(data).hexdigest()


def test_a_declared_digest_is_held_to_for_a_part_on_record_too(ann, storage, session):
    data = pattern(CHUNK)
    send_part(ann, storage, session, 1, data)
    with pytest.raises(exceptions.DigestMismatch):
        send_with_digest(ann, storage, session, data, b"\0" * 32)
    assert send_with_digest(ann, storage, session, data, hashlib.sha256(data).digest())


def test_each_recorded_part_moves_the_end_of_the_session_on(ann, storage, session, settings):
    settings.PORTAL_SESSION_TTL_HOURS = 5
    let_lifetime_end(session)
    send_part(ann, storage, session, 1, bytes(CHUNK))
    assert abs(session_row(session).expires_at - timezone.now() - timedelta(hours=5)) < timedelta(minutes=1)


def test_a_part_that_is_not_recorded_does_not_move_the_end(ann, storage, session):
    let_lifetime_end(session)
    with pytest.raises(exceptions.BodyIncomplete):
        send_short(ann, storage, session)
    assert session_row(session).expires_at == session.expires_at


def test_a_part_that_leaves_too_little_free_space_is_refused(ann, storage, session, settings):
    settings.PORTAL_MIN_FREE_BYTES, storage.capacity = 1000, CHUNK + 999
    with pytest.raises(exceptions.OutOfSpace):
        begin_part(ann, session.pk, 1, CHUNK, storage=storage)
    storage.capacity = CHUNK + 1000
    assert begin_part(ann, session.pk, 1, CHUNK, storage=storage)


def test_a_part_that_does_not_fit_is_refused_before_a_byte_of_it_is_written(ann, storage, session):
    storage.capacity = CHUNK - 1
    writer = begin_part(ann, session.pk, 1, CHUNK, storage=storage)
    with closing(writer), pytest.raises(exceptions.OutOfSpace):
        writer.acquire()
    assert staged(storage, session) == b""


def write_and_sync(writer, data):
    """Do with the body what the byte door does."""
    writer.write(data)
    writer.sync()


@pytest.mark.parametrize(
    ("step", "fault", "told"),
    [
        ("write", base.StorageUnavailable("gone"), exceptions.StorageUnavailable),
        ("write", base.NoSpace("full"), exceptions.OutOfSpace),
        ("sync", base.StorageUnavailable("gone"), exceptions.StorageUnavailable),
    ],
)
def test_a_fault_of_the_storage_records_nothing(ann, storage, session, step, fault, told):
    with closing(begin_part(ann, session.pk, 1, CHUNK, storage=storage)) as writer:
        writer.acquire()
        setattr(writer.place.range, step, failing(fault))
        with pytest.raises(told):
            write_and_sync(writer, bytes(CHUNK))
    assert progress(session) == (0, 0, 0)


def test_bytes_of_an_open_session_that_are_gone_are_a_fault_of_the_storage(ann, storage, session):
    storage.remove_staging(session.staging_key)
    with pytest.raises(exceptions.StorageUnavailable):
        send_part(ann, storage, session, 1, bytes(CHUNK))

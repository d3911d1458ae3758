"""When the disk or the database fails under a part: 507 or 503, nothing recorded, and the next try succeeds."""

import asyncio
import errno
import os

import pytest
from django.db import OperationalError

from portal.models import UploadPart
from portal.storage import get_storage
from tests.samples import CHUNK, make_token, open_session, pattern, send_part
from tests.transfer.wire import Wire, own_thread_pools

DATA = pattern(CHUNK)


@pytest.fixture
def session(transactional_db, ann):
    """A session of ann's with one part."""
    return open_session(ann, get_storage(), size=CHUNK)


@pytest.fixture
def put(session, ann, monkeypatch):
    """Send the one part; return the Wire."""
    with own_thread_pools(monkeypatch):
        token = make_token(ann)
        target = f"/uploads/sessions/{session.pk}/parts/1"

        def send(*lines):
            wire = Wire("PUT", target, f"Content-Length: {CHUNK}", *lines, token=token, body=DATA)
            return asyncio.run(wire.run())

        yield send


def fails_with(number):
    """Return a system call that fails so."""

    def call(*_):
        raise OSError(number, os.strerror(number))

    return call


def assert_refused(wire, status, code):
    """The answer is this one, tells when to come again, and nothing is recorded."""
    assert (wire.status, wire.code) == (status, code)
    assert int(wire.header("retry-after")) > 0
    assert not UploadPart.objects.exists()


@pytest.mark.parametrize(
    ("call", "number", "status", "code"),
    [
        ("posix_fallocate", errno.ENOSPC, 507, "insufficient_storage"),
        ("posix_fallocate", errno.EDQUOT, 507, "insufficient_storage"),
        ("pwrite", errno.ENOSPC, 507, "insufficient_storage"),
        ("pwrite", errno.EIO, 503, "storage_unavailable"),
        ("fdatasync", errno.EIO, 503, "storage_unavailable"),
        ("fdatasync", errno.ENOSPC, 507, "insufficient_storage"),
    ],
)
def test_a_disk_that_fails_records_nothing_and_the_next_try_succeeds(put, monkeypatch, call, number, status, code):
    with monkeypatch.context() as broken:
        broken.setattr(os, call, fails_with(number))
        assert_refused(put(), status, code)
    assert put().status == 200


def test_below_the_floor_of_free_space_no_body_is_asked_for(put, settings):
    settings.PORTAL_MIN_FREE_BYTES = 2**60
    wire = put("Expect: 100-continue")
    assert_refused(wire, 507, "insufficient_storage")
    assert wire.asked == 0
    settings.PORTAL_MIN_FREE_BYTES = 0
    assert put().status == 200


def test_a_recorded_part_is_confirmed_on_a_full_disk(put, session, ann, settings, monkeypatch):
    send_part(ann, get_storage(), session, 1, DATA)
    settings.PORTAL_MIN_FREE_BYTES = 2**60
    monkeypatch.setattr(os, "pwrite", fails_with(errno.ENOSPC))
    assert put().status == 200


def test_a_staging_file_that_is_lost_is_a_fault_of_the_storage(put, session):
    get_storage().remove_staging(session.staging_key)
    assert_refused(put(), 503, "storage_unavailable")


@pytest.mark.parametrize("step", ["receive.identify", "receive.begin_part"])
def test_a_database_that_does_not_answer_is_503(put, monkeypatch, step):
    def fail(*_, **__):
        raise OperationalError("could not connect to secret-host")

    with monkeypatch.context() as broken:
        broken.setattr(f"portal.transfer.{step}", fail)
        wire = put()
    assert_refused(wire, 503, "database_unavailable")
    assert b"secret-host" not in wire.body
    assert put().status == 200


def test_a_database_that_fails_at_the_record_is_503(put, monkeypatch):
    def fail(*_, **__):
        raise OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr("portal.services.part_records.record_part_in", fail)
        assert_refused(put(), 503, "database_unavailable")
    assert put().status == 200


def test_a_fault_that_nobody_named_is_a_500_without_its_text(put, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("secret words")

    with monkeypatch.context() as broken:
        broken.setattr("portal.transfer.receive.begin_part", fail)
        wire = put()
    assert (wire.status, wire.code) == (500, "internal_error")
    assert b"secret words" not in wire.body
    assert "secret words" in caplog.text
    assert put().status == 200

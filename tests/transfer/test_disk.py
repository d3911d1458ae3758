"""Where the pieces of a body are written: in the event loop while the disk takes them at once, else in threads."""

import asyncio
import os
import threading

import orjson
import pytest
from blake3 import blake3

from portal.storage import get_storage
from portal.transfer import receive
from portal.transfer.disk import REST_SECONDS, SLOW_SECONDS, Disk
from tests.samples import CHUNK, make_token, open_session, pattern
from tests.transfer.wire import Wire, own_thread_pools


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        """Let so many seconds go by."""
        self.now += seconds


@pytest.fixture
def clock():
    """The clock of the disk."""
    return Clock()


@pytest.fixture
def disk(clock):
    """A disk that nobody has written to."""
    return Disk(clock)


def test_a_disk_is_swift_until_it_was_slow(disk, clock):
    taken = []
    disk.take(taken.append, b"one")
    assert taken == [b"one"]
    assert disk.swift
    disk.take(lambda piece: clock.pass_by(SLOW_SECONDS * 1.01), b"two")
    assert not disk.swift


def test_a_slow_disk_is_tried_again_after_a_rest(disk, clock):
    disk.take(lambda piece: clock.pass_by(1), b"")
    clock.pass_by(REST_SECONDS * 0.99)
    assert not disk.swift
    clock.pass_by(REST_SECONDS * 0.02)
    assert disk.swift


def test_a_slow_write_that_fails_counts_as_slow(disk, clock):
    def fail(piece):
        clock.pass_by(1)
        raise OSError

    with pytest.raises(OSError):
        disk.take(fail, b"")
    assert not disk.swift


@pytest.mark.parametrize("swift", [True, False])
def test_a_part_is_stored_wherever_it_is_written(transactional_db, ann, monkeypatch, disk, clock, swift):
    if not swift:
        disk.take(lambda piece: clock.pass_by(1), b"")
    monkeypatch.setattr(receive, "disk", disk)
    seen, pwrite = set(), os.pwrite

    def watched(*arguments):
        seen.add(threading.current_thread() is threading.main_thread())
        return pwrite(*arguments)

    monkeypatch.setattr(os, "pwrite", watched)
    session, data = open_session(ann, get_storage(), size=CHUNK), pattern(CHUNK)
    with own_thread_pools(monkeypatch):
        target = f"/uploads/sessions/{session.pk}/parts/1"
        wire = Wire("PUT", target, f"Content-Length: {CHUNK}", token=make_token(ann), body=data)
        asyncio.run(wire.run())
    assert wire.status == 200
    assert seen == {swift}
    assert orjson.loads(wire.body)["digest"]["value"] == blake3(data).hexdigest()

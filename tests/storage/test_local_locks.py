"""Locks between processes, through crashes and forks, and against the ways in which file locks are lost."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portal.storage.base import RangeBusy
from portal.storage.local import LocalStorage
from tests.storage.samples import object_key, staged

FDS = Path("/proc/self/fd")
OTHER_PROCESS = """
import sys
from portal.storage.base import RangeBusy
from portal.storage.local import LocalStorage

root, key, what = sys.argv[1:]
storage = LocalStorage(root)
if what == "hold":
    try:
        storage.hold(key, "ab/cd/" + "0" * 32)
        print("True", flush=True)
    except RangeBusy:
        print("False", flush=True)
else:
    part = storage.open_part(key, offset=65536, length=65536)
    print(part.try_lock(), flush=True)
    if what == "write":
        part.reserve()
        part.write(b"half")
        print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "storage")


@contextlib.contextmanager
def other_process(tmp_path, key, what):
    """Start another process that locks; give it and whether it got the lock."""
    command = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "storage"), key, what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().strip() == "True"
        finally:
            process.kill()


def lock(storage, key):
    """Return the same range as the other process uses, and whether it could be locked."""
    part = storage.open_part(key, offset=65536, length=65536)
    return part, part.try_lock()


def test_another_process_is_kept_out(tmp_path, storage):
    key = staged(storage, b"")
    part, won = lock(storage, key)
    with part, other_process(tmp_path, key, "lock") as (_, other_won):
        assert won
        assert not other_won
    part, won = lock(storage, key)
    with part, other_process(tmp_path, key, "hold") as (_, other_won):
        assert won
        assert not other_won


def test_a_held_file_keeps_another_process_out(tmp_path, storage):
    key = staged(storage)
    with storage.hold(key, object_key()), other_process(tmp_path, key, "lock") as (_, won):
        assert not won


def test_a_killed_writer_gives_up_its_lock_and_leaves_data(tmp_path, storage):
    key = staged(storage, b"")
    with other_process(tmp_path, key, "write") as (process, other_won):
        assert other_won
        assert process.stdout.readline().strip() == "written"
        part, won = lock(storage, key)
        with part:
            assert not won
        with pytest.raises(RangeBusy):
            storage.hold(key, object_key())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        part, won = lock(storage, key)
        with part:
            assert won
            assert part.holds_data()


def test_closing_another_descriptor_of_the_file_loses_no_lock(tmp_path, storage):
    key = staged(storage, b"")
    part, won = lock(storage, key)
    with part:
        assert won
        # With locks of the process (lockf) any of these closes would have given the range up.
        storage.open_part(key, offset=0, length=1).close()
        with pytest.raises(RangeBusy):
            storage.hold(key, object_key())
        (tmp_path / "storage" / "staging" / key).read_bytes()
        with other_process(tmp_path, key, "lock") as (_, other_won):
            assert not other_won


# Under xdist there are threads; the child here does nothing that could wait for one of them.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_made_by_fork_does_not_keep_its_parents_lock(storage):
    key = staged(storage, b"")
    part, won = lock(storage, key)
    assert won
    ready_out, ready_in = os.pipe()
    done_out, done_in = os.pipe()
    child = os.fork()
    if not child:
        os.close(done_in)
        os.write(ready_in, b"x")
        os.read(done_out, 1)
        os._exit(0)
    try:
        os.read(ready_out, 1)
        late, won = lock(storage, key)
        with late:
            assert not won, "the child closed its own copy, and the parent's lock must live on"
        part.close()
        late, won = lock(storage, key)
        with late:
            assert won
    finally:
        for descriptor in (done_in, done_out, ready_in, ready_out):
            os.close(descriptor)
        os.waitpid(child, 0)


def test_a_program_that_is_started_does_not_keep_the_lock(storage):
    key = staged(storage, b"")
    part, won = lock(storage, key)
    assert won
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False) as program:
        part.close()
        late, won = lock(storage, key)
        with late:
            # posix_spawn comes back some milliseconds before the kernel closes what is close-on-exec.
            deadline = time.monotonic() + 5
            while not won and time.monotonic() < deadline:
                time.sleep(0.001)
                won = late.try_lock()
            assert won
            assert program.poll() is None, "it must have given the lock up while it lives"


def test_failed_attempts_leave_no_descriptor_behind(storage):
    key = staged(storage, b"")
    with storage.hold(key, object_key()):
        before = len(list(FDS.iterdir()))
        for _ in range(20):
            with pytest.raises(RangeBusy):
                storage.hold(key, object_key())
        assert len(list(FDS.iterdir())) == before

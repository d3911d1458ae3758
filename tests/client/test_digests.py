"""Digests of local files are remembered, and never of bytes that are not there any more."""

import hashlib
import os
import sqlite3
import time

import pytest

from portal_client import SourceFailed, digests
from portal_client.digests import Digests
from portal_client.sources import find_sources


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file that counts as old enough to be remembered."""
    monkeypatch.setattr(digests, "RACY_SECONDS", -60)
    file = tmp_path / "a"
    file.write_bytes(b"one")
    return file


def reckon(tmp_path, file):
    """Return the digest as a new run finds it, and whether it was remembered."""
    known = Digests(tmp_path / "cache" / "digests.sqlite3")
    (source,) = find_sources([file]).sources
    known.load([source])
    remembered = known.get(source)
    found = known.reckon(source)
    known.save()
    return found, remembered is not None


def test_a_second_run_remembers(tmp_path, file):
    expected = hashlib.sha256(b"one").hexdigest()
    assert reckon(tmp_path, file) == (expected, False)
    assert reckon(tmp_path, file) == (expected, True)


def test_other_bytes_of_the_same_size_and_time_are_read_again(tmp_path, file):
    reckon(tmp_path, file)
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert reckon(tmp_path, file) == (hashlib.sha256(b"two").hexdigest(), False)


def test_a_file_that_was_changed_just_now_is_not_remembered(tmp_path, file, monkeypatch):
    monkeypatch.setattr(digests, "RACY_SECONDS", 60)
    reckon(tmp_path, file)
    assert reckon(tmp_path, file)[1] is False


def test_a_file_that_changes_while_it_is_read_fails(tmp_path, file):
    (source,) = find_sources([file]).sources
    file.write_bytes(b"longer")
    with pytest.raises(SourceFailed) as caught:
        Digests(None).reckon(source)
    assert caught.value.code == "source_changed"


def test_a_place_that_cannot_be_written_to_is_done_without(tmp_path, file, caplog):
    (tmp_path / "cache").write_bytes(b"in the way")
    assert reckon(tmp_path, file)[0] == hashlib.sha256(b"one").hexdigest()
    assert "digests are not remembered" in caplog.text


def test_a_cache_that_is_no_database_is_done_without(tmp_path, file):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.sqlite3").write_bytes(b"nonsense" * 200)
    assert reckon(tmp_path, file)[0] == hashlib.sha256(b"one").hexdigest()


@pytest.fixture
def cache(tmp_path):
    """The cache as another program left it, open there."""
    (tmp_path / "cache").mkdir()
    with sqlite3.connect(tmp_path / "cache" / "digests.sqlite3", isolation_level=None) as database:
        yield database
    database.close()


@pytest.mark.parametrize(
    "left",
    [
        ["CREATE TABLE digests (another INTEGER)"],
        [digests.SCHEMA, "CREATE TRIGGER t BEFORE INSERT ON digests BEGIN SELECT raise(ABORT, 'read-only'); END"],
        [digests.SCHEMA, "BEGIN IMMEDIATE"],
        [digests.SCHEMA, "BEGIN EXCLUSIVE"],
    ],
    ids=["other_columns", "not_to_be_written", "being_written", "locked"],
)
def test_a_cache_that_fails_is_done_without(tmp_path, file, cache, caplog, monkeypatch, left):
    monkeypatch.setattr(digests, "LOCK_SECONDS", 0.1)
    for statement in left:
        cache.execute(statement)
    assert reckon(tmp_path, file) == (hashlib.sha256(b"one").hexdigest(), False)
    assert caplog.text.count("digests are not remembered") == 1


def test_old_rows_are_dropped(tmp_path, file, monkeypatch):
    reckon(tmp_path, file)
    other = tmp_path / "b"
    other.write_bytes(b"b")
    now = time.time()
    monkeypatch.setattr(digests.time, "time", lambda: now + digests.KEEP_SECONDS + 5)
    reckon(tmp_path, other)
    assert reckon(tmp_path, file)[1] is False

"""In which order bytes and names reach the disk: recorded from the system calls themselves."""

import errno
import os
from pathlib import Path

import pytest

from portal.storage.base import StorageUnavailable
from portal.storage.local import LocalStorage
from tests.storage.samples import object_key, put, read, staged, staging_key, stored


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "storage"


@pytest.fixture
def storage(root):
    return LocalStorage(root)


@pytest.fixture
def calls(tmp_path):
    """What was called, in order, with paths below the test's folder."""
    seen = []

    def name(thing):
        path = Path(f"/proc/self/fd/{thing}").readlink() if isinstance(thing, int) else Path(thing)
        return str(path.relative_to(tmp_path / "data"))

    def watch(patch, call, really):
        def called(thing, *rest, **options):
            seen.append((call, name(thing)))
            return really(thing, *rest, **options)

        patch.setattr(os, call, called)

    # Undone before the folder is removed, which calls them too.
    with pytest.MonkeyPatch.context() as patch:
        for call in ("fsync", "fdatasync", "rename", "mkdir", "unlink", "pwrite", "posix_fadvise"):
            watch(patch, call, getattr(os, call))
        yield seen


def test_a_new_root_is_durable_with_its_parents(tmp_path, calls):
    (tmp_path / "data").mkdir()
    calls.clear()
    LocalStorage(tmp_path / "data" / "deep" / "storage")
    assert calls == [
        ("mkdir", "deep"),
        ("fsync", "."),
        ("mkdir", "deep/storage"),
        ("fsync", "deep"),
        ("mkdir", "deep/storage/staging"),
        ("fsync", "deep/storage"),
        ("mkdir", "deep/storage/objects"),
        ("fsync", "deep/storage"),
        ("mkdir", "deep/storage/trash"),
        ("fsync", "deep/storage"),
    ]


def test_a_staging_file_is_durable_with_its_folder(storage, calls):
    key = staging_key()
    storage.create_staging(key)
    folder = f"storage/staging/{key[:2]}"
    assert calls == [("mkdir", folder), ("fsync", "storage/staging"), ("fsync", folder)]
    calls.clear()
    storage.create_staging(f"{key[:2]}/{'0' * 32}")
    assert calls == [("fsync", folder)]


def test_a_folder_that_another_made_may_not_be_durable_yet(root, storage, calls):
    key = staging_key()
    (root / "staging" / key[:2]).mkdir()
    calls.clear()
    storage.create_staging(key)
    assert ("fsync", "storage/staging") in calls


def test_a_part_is_written_and_then_synced(storage, calls):
    key = staged(storage, b"")
    calls.clear()
    put(storage, key, b"data")
    assert calls == [("pwrite", f"storage/staging/{key}"), ("fdatasync", f"storage/staging/{key}")]


def test_publishing_syncs_the_bytes_then_renames_then_syncs_both_folders(storage, calls):
    staging, key = staged(storage), object_key()
    with storage.hold(staging, key) as held:
        calls.clear()
        held.publish()
    assert calls == [
        ("fsync", f"storage/staging/{staging}"),
        ("mkdir", f"storage/objects/{key[:2]}"),
        ("fsync", "storage/objects"),
        ("mkdir", f"storage/objects/{key[:5]}"),
        ("fsync", f"storage/objects/{key[:2]}"),
        ("rename", f"storage/staging/{staging}"),
        ("fsync", f"storage/objects/{key[:5]}"),
        ("fsync", f"storage/staging/{staging[:2]}"),
    ]


def test_whole_objects_are_sent_before_the_first_is_synced_and_then_each_folder_once(storage, calls):
    key = object_key()
    new = [storage.create_object(key), storage.create_object(f"{key[:6]}{'0' * 32}")]
    assert calls == [
        ("mkdir", f"storage/objects/{key[:2]}"),
        ("fsync", "storage/objects"),
        ("mkdir", f"storage/objects/{key[:5]}"),
        ("fsync", f"storage/objects/{key[:2]}"),
    ]
    calls.clear()
    for one in new:
        one.write(b"data")
    storage.finish_objects(new)
    assert calls == [
        ("posix_fadvise", f"storage/objects/{key}"),
        ("posix_fadvise", f"storage/objects/{key[:6]}{'0' * 32}"),
        ("fsync", f"storage/objects/{key}"),
        ("fsync", f"storage/objects/{key[:6]}{'0' * 32}"),
        ("fsync", f"storage/objects/{key[:5]}"),
    ]


def test_a_move_by_somebody_else_is_synced_as_well(root, storage, calls):
    staging, key = staged(storage), object_key()
    with storage.hold(staging, key) as held:
        (root / "objects" / key).parent.mkdir(parents=True)
        (root / "staging" / staging).rename(root / "objects" / key)
        calls.clear()
        held.publish()
    assert ("rename", f"storage/staging/{staging}") not in calls
    assert calls[0] == ("fsync", f"storage/objects/{key}")
    assert calls[-2:] == [
        ("fsync", f"storage/objects/{key[:5]}"),
        ("fsync", f"storage/staging/{staging[:2]}"),
    ]
    assert read(storage, key) == b"data"


def test_a_rename_that_comes_second_looks_at_the_destination(root, storage, monkeypatch):
    staging, key = staged(storage), object_key()
    really = os.rename

    def rename_twice(source, target):
        really(source, target)
        really(source, target)

    with storage.hold(staging, key) as held:
        monkeypatch.setattr(os, "rename", rename_twice)
        held.publish()
    assert read(storage, key) == b"data"


def test_other_bytes_under_the_staging_name_are_not_published(root, storage):
    staging, key = staged(storage), object_key()
    with storage.hold(staging, key) as held:
        storage.remove_staging(staging)
        storage.create_staging(staging)
        with pytest.raises(FileNotFoundError):
            held.publish()
    assert not (root / "objects" / key).exists()


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_sync_that_failed_is_never_tried_again(storage, monkeypatch, call):
    attempts = []

    def fail(descriptor):
        attempts.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    staging, key = staged(storage), object_key()
    if call == "fdatasync":
        thing = storage.open_part(staging, offset=0, length=4)
        assert thing.try_lock()
        sync = thing.sync
    else:
        thing = storage.hold(staging, key)
        sync = thing.publish
    with thing:
        monkeypatch.setattr(os, call, fail)
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                sync()
    assert len(attempts) == 1
    assert storage.age_seconds("objects", key) is None


def test_a_removal_is_durable(storage, calls):
    staging, key = staged(storage), stored(storage)
    calls.clear()
    storage.remove_staging(staging)
    storage.remove_object(key)
    assert calls == [
        ("unlink", f"storage/staging/{staging}"),
        ("fsync", f"storage/staging/{staging[:2]}"),
        ("unlink", f"storage/objects/{key}"),
        ("fsync", f"storage/objects/{key[:5]}"),
    ]


def test_a_move_to_the_trash_syncs_the_new_name_first(storage, calls):
    staging = staged(storage)
    calls.clear()
    storage.trash_staging(staging)
    assert calls == [
        ("rename", f"storage/staging/{staging}"),
        ("fsync", "storage/trash"),
        ("fsync", f"storage/staging/{staging[:2]}"),
    ]


def test_a_second_name_is_durable_when_it_is_told(storage, calls):
    source, first = stored(storage), object_key()
    second = f"{first[:6]}{'0' * 32}"
    storage.create_object(beside := object_key()).close()
    calls.clear()
    assert storage.copy_objects({first: source, second: source, f"{beside[:6]}{'1' * 32}": source}, seconds=60)
    folders = sorted(f"storage/objects/{key[:5]}" for key in (first, beside))
    assert sorted(name for call, name in calls[-2:] if call == "fsync") == folders


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_that_takes_no_more_names_is_left_out(storage, monkeypatch, number):
    def link(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    assert storage.copy_objects({object_key(): stored(storage)}, seconds=60) == set()


def test_a_disk_that_fails_while_it_links_is_told_of(storage, monkeypatch):
    def link(*_, **__):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StorageUnavailable):
        storage.copy_objects({object_key(): stored(storage)}, seconds=60)


def test_what_is_not_begun_in_time_is_left_out(storage):
    assert storage.copy_objects({object_key(): stored(storage)}, seconds=-1) == set()

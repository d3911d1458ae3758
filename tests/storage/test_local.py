import errno
import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from portal.storage import descriptors
from portal.storage.base import NoSpace, StorageMisconfigured, StorageUnavailable
from portal.storage.descriptors import open_file
from portal.storage.hashing import BLOCK_BYTES
from portal.storage.local import LocalStorage
from tests.storage.contract import LockingContract
from tests.storage.samples import object_key, read, staged, staging_key, stored


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "storage"


@pytest.fixture
def storage(root):
    return LocalStorage(root)


class TestLocal(LockingContract):
    @pytest.fixture
    def storage(self, root, clock):
        return LocalStorage(root, clock=clock)


def fails_with(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_nobody_else_may_look_into_folders_and_files(root, storage):
    staging, key = staged(storage), stored(storage)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    assert {mode(path) for path in folders} == {0o700}
    assert mode(root / "staging" / staging) == 0o600
    assert mode(root / "objects" / key) == 0o600


def test_keys_are_where_the_page_says(root, storage):
    staging, key = staged(storage, b"one"), stored(storage, b"two")
    assert (root / "staging" / staging).read_bytes() == b"one"
    assert (root / "objects" / key).read_bytes() == b"two"
    storage.trash_object(key)
    assert (root / "trash" / ("objects-" + key.replace("/", "-"))).read_bytes() == b"two"


def test_opening_a_folder_again_finds_what_is_there(root, storage):
    key = stored(storage, b"kept")
    assert read(LocalStorage(root), key) == b"kept"


def test_every_file_is_opened_close_on_exec_and_without_following_links(storage, monkeypatch):
    flags, really = [], os.open
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", lambda path, flag, *rest: (flags.append(flag), really(path, flag, *rest))[1])
        staging, key = staged(storage), stored(storage)
        storage.open_object(key).close()
        storage.hold(staging, object_key()).close()
    files = [flag for flag in flags if not flag & os.O_DIRECTORY]
    assert len(files) == 7
    assert all(flag & os.O_NOFOLLOW for flag in files)
    assert all(flag & os.O_CLOEXEC for flag in flags)
    assert all(flag & os.O_EXCL for flag in files if flag & os.O_CREAT)


def test_a_link_in_place_of_a_file_is_refused(root, storage, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"not ours")
    staging, key = staged(storage), stored(storage)
    for path in (root / "staging" / staging, root / "objects" / key):
        path.unlink()
        path.symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        storage.create_staging(staging)
    for opens in (
        lambda: storage.open_part(staging, offset=0, length=1),
        lambda: storage.hold(staging, key),
        lambda: storage.open_object(key),
    ):
        with pytest.raises(StorageUnavailable):
            opens()
    assert elsewhere.read_bytes() == b"not ours"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite"])
def test_a_full_disk_is_told_apart_from_a_broken_one(storage, monkeypatch, number, call):
    with storage.open_part(staged(storage), offset=0, length=4) as part:
        assert part.try_lock()
        for error, expected in ((number, True), (errno.EIO, False)):
            monkeypatch.setattr(os, call, fails_with(error))
            with pytest.raises(StorageUnavailable) as caught:
                part.reserve() if call == "posix_fallocate" else part.write(b"data")
            assert isinstance(caught.value, NoSpace) is expected
        assert part.written == 0


def test_short_writes_are_carried_on(root, storage, monkeypatch):
    really, key = os.pwrite, staged(storage, b"")
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: really(file, data[:3], offset))
    with storage.open_part(key, offset=2, length=10) as part:
        assert part.try_lock()
        part.write(b"0123456789")
    assert (root / "staging" / key).read_bytes() == b"\0\x000123456789"


def test_a_damaged_disk_ends_the_digest(storage, monkeypatch):
    with storage.hold(staged(storage), object_key()) as held:
        monkeypatch.setattr(os, "preadv", fails_with(errno.EIO))
        with pytest.raises(StorageUnavailable):
            held.digest([4])


def test_the_digest_of_a_large_file_needs_little_memory(root, storage):
    key = staged(storage, b"")
    os.truncate(root / "staging" / key, 128 * 2**20)
    with storage.hold(key, object_key()) as held:
        tracemalloc.start()
        held.digest([8 * 2**20] * 16)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2 * BLOCK_BYTES


def test_a_listing_opens_one_folder_after_the_other(storage, monkeypatch):
    for _ in range(20):
        staged(storage)
    opened, really = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (opened.append(path), really(path))[1])
    listing = storage.old_keys("staging", older_than_seconds=-60)
    next(listing)
    assert len(opened) == 2
    listing.close()


def test_what_is_not_ours_is_neither_listed_nor_counted(root, storage):
    key = staged(storage)
    (root / "staging" / "lost+found").mkdir()
    (root / "staging" / "lost+found" / ("0" * 32)).touch()
    (root / "staging" / "stray").touch()
    (root / "staging" / "00").symlink_to(root / "staging" / key[:2])
    assert list(storage.old_keys("staging", older_than_seconds=-60)) == [key]
    assert storage.count_keys("staging") == 1


def test_age_is_the_later_of_both_times(root, storage):
    key = staged(storage)
    os.utime(root / "staging" / key, (0, 0))
    assert storage.age_seconds("staging", key) < 60
    os.utime(root / "staging" / key, (4e9, 4e9))
    assert storage.age_seconds("staging", key) < 0


def test_a_folder_that_somebody_tidied_away_is_made_again(root, storage):
    staging, key = staged(storage), object_key()
    with storage.hold(staging, key) as held:
        held.publish()
        storage.remove_object(key)
    for folder in ("objects/" + key[:5], "objects/" + key[:2], "staging/" + staging[:2]):
        (root / folder).rmdir()
    storage.create_staging(staging)
    with storage.hold(staging, key) as held:
        held.publish()
    assert read(storage, key) == b""


def test_an_object_that_was_written_to_another_disk_than_that_of_the_start_is_not_finished(root, storage):
    beside = object_key()
    storage.create_object(beside).close()
    folder = (root / "objects" / beside).parent
    # Another disk is mounted in its place, with a folder of the same name.
    (root / "objects").rename(root / "unmounted")
    folder.mkdir(parents=True)
    key = f"{beside.rpartition('/')[0]}/{'0' * 32}"
    with storage.create_object(key) as new, pytest.raises(StorageUnavailable):
        storage.finish_objects([new])


def test_a_folder_that_was_prepared_and_is_gone_is_made_again(root, storage):
    beside = object_key()
    storage.create_object(beside).close()
    (root / "objects" / beside).unlink()
    (root / "objects" / beside).parent.rmdir()
    with storage.create_object(f"{beside.rpartition('/')[0]}/{'0' * 32}") as new:
        new.write(b"data")
        storage.finish_objects([new])
    assert read(storage, new.key) == b"data"


def test_a_disk_that_goes_away_is_no_missing_file(root, storage):
    staging, key = staged(storage), stored(storage)
    away = root.with_name("away")
    root.rename(away)
    for put_back_empty in (False, True):
        if put_back_empty:
            for kind in ("staging", "objects", "trash"):
                (root / kind).mkdir(parents=True)
        for asks in (
            lambda: storage.create_staging(staging_key()),
            lambda: storage.open_part(staging, offset=0, length=1),
            lambda: storage.hold(staging, key),
            lambda: storage.open_object(key),
            lambda: storage.remove_object(key),
            lambda: storage.trash_staging(staging),
            lambda: storage.age_seconds("objects", key),
            storage.check,
        ):
            with pytest.raises(StorageUnavailable):
                asks()
    assert (away / "objects" / key).exists()


def test_the_check_says_what_is_wrong_and_leaves_nothing(root, storage, monkeypatch):
    monkeypatch.setattr(os, "fsync", fails_with(errno.EIO))
    with pytest.raises(StorageUnavailable, match=r"Could not write to the storage folder .*Input/output error"):
        storage.check()
    assert list((root / "trash").iterdir()) == []


def test_a_platform_without_such_locks_is_refused_with_the_way_out(root, monkeypatch):
    for platform in (None, object()):
        monkeypatch.setattr(descriptors, "fcntl", platform)
        with pytest.raises(StorageMisconfigured, match="S3"):
            LocalStorage(root)
    assert not root.exists()


def test_a_folder_in_the_place_of_a_file_is_named_and_leaves_nothing_open(tmp_path):
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        open_file(tmp_path, os.O_RDONLY)
    assert sorted(Path("/proc/self/fd").iterdir()) == before

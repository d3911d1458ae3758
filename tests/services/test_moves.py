"""Files moved between a folder and a bucket: read back before the row changes, and nothing is lost when it stops."""

import pytest

from portal.exceptions import StorageUnavailable
from portal.models import IngestFile
from portal.services import moves
from portal.services.cleanup import sweep_unnamed
from portal.services.files import delete_file, open_content
from portal.services.moves import count_to_move, move_files
from portal.services.verify import verify_stored
from portal.storage import base, get_storage, open_storage
from tests.samples import CHUNK, make_batch, open_session, pattern, send_parts, store_file

BODIES = [b"", b"small", pattern(3 * CHUNK + 1)]


@pytest.fixture
def bucket(rclone):
    return rclone.new_bucket()


@pytest.fixture
def urls(tmp_path, rclone, bucket, settings):
    """A folder for new files, and a bucket besides."""
    settings.PORTAL_STORAGE_URL = f"file://{tmp_path}/storage"
    settings.PORTAL_STORAGE_OTHER_URL = rclone.storage_url(bucket)
    return settings.PORTAL_STORAGE_URL, settings.PORTAL_STORAGE_OTHER_URL


@pytest.fixture
def target(urls):
    return open_storage(urls[1])


@pytest.fixture
def files(ann, urls):
    """Files in the folder."""
    batch = make_batch(ann)
    return [store_file(ann, get_storage(), data, batch=batch) for data in BODIES]


def backends():
    return sorted(IngestFile.objects.values_list("storage_backend", flat=True))


def content(caller, file):
    with open_content(caller, file.pk, storage=get_storage()).stored as stored:
        return stored.read(0, stored.size)


def test_files_move_and_stay_readable(ann, files, target, rclone, bucket):
    open_session(ann, get_storage(), size=1)
    assert count_to_move(target) == (3, sum(map(len, BODIES)))
    assert [finding for _, finding in move_files(target)] == [None] * 3
    assert sorted(rclone.objects(bucket).values()) == sorted(BODIES)
    assert get_storage().count_keys("objects") == 0
    assert [content(ann, file) for file in files] == BODIES
    assert [found for _, found in verify_stored(storage=get_storage())] == [None] * 3
    assert count_to_move(target) == (0, 0)
    assert list(move_files(target)) == []
    # And back again.
    assert [finding for _, finding in move_files(get_storage())] == [None] * 3
    assert rclone.objects(bucket) == {}
    assert [content(ann, file) for file in files] == BODIES


def test_a_file_that_is_damaged_stays_where_it_is(files, target, tmp_path, rclone, bucket):
    (tmp_path / "storage" / "objects" / files[1].storage_key).write_bytes(b"smell")
    (tmp_path / "storage" / "objects" / files[2].storage_key).unlink()
    found = {row["id"]: finding and finding.code for row, finding in move_files(target)}
    assert [found[file.pk] for file in files] == [None, "sha256_differs", "missing"]
    assert backends() == ["local", "local", "s3"]
    assert list(rclone.objects(bucket).values()) == [BODIES[0]]


def test_a_copy_that_does_not_read_back_is_not_taken(files, target, monkeypatch, rclone, bucket):
    really = target.open_object

    def damaged(key):
        opened = really(key)
        monkeypatch.setattr(opened, "read", lambda offset, length: b"x" * opened.size)
        return opened

    monkeypatch.setattr(target, "open_object", damaged)
    found = {row["id"]: finding and finding.code for row, finding in move_files(target)}
    assert [found[file.pk] for file in files] == [None, "copy_differs", "copy_differs"]
    assert backends() == ["local", "local", "s3"]
    monkeypatch.undo()
    assert list(rclone.objects(bucket).values()) == [BODIES[0]]


def test_a_run_that_was_stopped_goes_on(ann, files, target, monkeypatch):
    with monkeypatch.context() as stopped:
        really, calls = target.finish_objects, []

        def fail_second(objects):
            calls.append(1)
            if len(calls) == 2:
                raise base.StorageUnavailable("gone")
            really(objects)

        stopped.setattr(target, "finish_objects", fail_second)
        with pytest.raises(StorageUnavailable):
            list(move_files(target, parallel=1))
    assert backends() == ["local", "local", "s3"]
    assert [finding for _, finding in move_files(target)] == [None] * 2
    assert [content(ann, file) for file in files] == BODIES


def test_a_file_that_is_deleted_meanwhile_leaves_nothing(files, target, rclone, bucket, monkeypatch):
    really = moves._take_over

    def delete_first(row, key, target):
        if row["id"] == files[0].pk:
            delete_file(IngestFile.objects.get(pk=row["id"]), storage=get_storage())
        really(row, key, target)

    monkeypatch.setattr(moves, "_take_over", delete_first)
    list(move_files(target))
    assert sorted(rclone.objects(bucket).values()) == sorted(BODIES[1:])
    assert backends() == ["s3", "s3"]


def test_two_moves_at_once_lose_nothing(ann, files, target, rclone, bucket, monkeypatch):
    really, others = moves._take_over, []

    def let_another_be_faster(row, key, target):
        if not others:
            others.append(1)
            assert [finding for _, finding in move_files(target)] == [None] * 3
        really(row, key, target)

    monkeypatch.setattr(moves, "_take_over", let_another_be_faster)
    assert [finding for _, finding in move_files(target)] == [None] * 3
    assert [content(ann, file) for file in files] == BODIES
    assert sorted(rclone.objects(bucket).values()) == sorted(BODIES)
    assert get_storage().count_keys("objects") == 0


def test_a_file_that_moves_while_it_is_looked_for_is_found(ann, files, target, monkeypatch):
    storage, really, moved = get_storage(), get_storage().open_object, []

    def move_first(key):
        if not moved:
            moved.append(1)
            with monkeypatch.context() as meanwhile:
                meanwhile.setattr(storage, "open_object", really)
                list(move_files(target))
        return really(key)

    monkeypatch.setattr(storage, "open_object", move_first)
    assert content(ann, files[1]) == BODIES[1]
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(storage, "open_object", really)
        list(move_files(storage))
    moved.clear()
    assert [found for _, found in verify_stored(storage=storage)] == [None] * 3


def test_a_moved_file_is_deleted_with_its_bytes(files, target, rclone, bucket):
    list(move_files(target))
    for file in IngestFile.objects.all():
        delete_file(file, storage=get_storage())
    assert rclone.objects(bucket) == {}
    assert get_storage().count_keys("objects") == 0


def test_the_sweep_takes_an_original_that_a_crash_left_and_no_copy(files, target, monkeypatch, rclone, bucket):
    monkeypatch.setattr(moves, "discard_object", lambda key, storage: None)
    list(move_files(target))
    assert get_storage().count_keys("objects") == 3
    assert sweep_unnamed(storage=get_storage(), older_than=-60) == 3
    assert sweep_unnamed(storage=target, older_than=-60) == 0
    assert get_storage().count_keys("objects") == 0
    assert len(rclone.objects(bucket)) == 3


def test_a_session_goes_on_while_files_move(ann, files, target):
    session = open_session(ann, get_storage(), size=1)
    list(move_files(target))
    send_parts(ann, get_storage(), session, b"x")


def test_without_its_storage_a_file_cannot_be_read_and_is_not_lost(ann, files, target, settings):
    list(move_files(target))
    settings.PORTAL_STORAGE_OTHER_URL = ""
    with pytest.raises(StorageUnavailable):
        content(ann, files[0])
    with pytest.raises(StorageUnavailable):
        delete_file(IngestFile.objects.get(pk=files[0].pk), storage=get_storage())

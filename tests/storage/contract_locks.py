"""What every backend with locks does: writers are kept apart, and bytes are written in place."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.storage.base import RangeBusy
from tests.storage.samples import hold, new_staging, object_key, published, put, read, staged, stored

KIB = 1024


class LockRules:
    """Locks on ranges and whole files, and what an earlier writer left."""

    def test_a_staging_file_is_made_once(self, storage):
        key = staged(storage, b"kept")
        with pytest.raises(FileExistsError):
            storage.create_staging(key)
        with hold(storage, key) as held:
            assert held.size == 4

    def test_a_part_never_makes_the_staging_file(self, storage):
        # One whose folder is there, because of another file in it.
        key = staged(storage)[:3] + "0" * 32
        with pytest.raises(FileNotFoundError):
            storage.open_part(key, offset=0, length=1)
        assert storage.age_seconds("staging", key) is None

    def test_overlapping_ranges_exclude_each_other_until_one_is_closed(self, storage):
        key = new_staging(storage)
        with storage.open_part(key, offset=0, length=10) as first:
            assert first.try_lock()
            assert first.try_lock()
            with storage.open_part(key, offset=9, length=10) as second:
                assert not second.try_lock()
                with storage.open_part(key, offset=0, length=5) as third:
                    assert not third.try_lock()
                first.close()
                assert second.try_lock()

    def test_a_range_closed_by_somebody_who_never_had_it_stays_locked(self, storage):
        key = new_staging(storage)
        with storage.open_part(key, offset=0, length=10) as part:
            assert part.try_lock()
            for _ in range(3):
                with storage.open_part(key, offset=0, length=10) as late:
                    assert not late.try_lock()

    def test_of_many_threads_one_gets_the_range(self, storage):
        key, barrier = new_staging(storage), threading.Barrier(8)

        def attempt(_):
            part = storage.open_part(key, offset=0, length=10)
            barrier.wait()
            return part, part.try_lock()

        with ThreadPoolExecutor(8) as threads:
            attempts = list(threads.map(attempt, range(8)))
        assert sum(won for _, won in attempts) == 1
        for part, _ in attempts:
            part.close()

    def test_a_part_touches_no_byte_of_its_neighbour(self, storage):
        key = staged(storage, b"....neighbour")
        put(storage, key, b"abcd")
        assert published(storage, key) == b"abcdneighbour"

    def test_a_writer_that_gave_up_halfway_leaves_data(self, storage):
        key = new_staging(storage)
        with storage.open_part(key, offset=64 * KIB, length=64 * KIB) as part:
            assert part.try_lock()
            part.reserve()
            part.write(b"half")
        for offset, expected in ((0, False), (64 * KIB, True), (128 * KIB, False)):
            with storage.open_part(key, offset=offset, length=64 * KIB) as part:
                assert part.try_lock()
                assert part.holds_data() is expected

    def test_reserving_changes_no_byte(self, storage):
        key = staged(storage, b"data")
        with storage.open_part(key, offset=0, length=6) as part:
            assert part.try_lock()
            part.reserve()
        assert published(storage, key) == b"data\0\0"

    # Whole files

    def test_a_file_with_a_busy_range_cannot_be_held(self, storage):
        key = staged(storage)
        with storage.open_part(key, offset=2**40, length=1) as part:
            assert part.try_lock()
            with pytest.raises(RangeBusy):
                hold(storage, key)
        with hold(storage, key), pytest.raises(RangeBusy):
            hold(storage, key)
        hold(storage, key).close()

    def test_a_held_file_has_no_free_range(self, storage):
        key = staged(storage)
        with hold(storage, key), storage.open_part(key, offset=2**40, length=1) as part:
            assert not part.try_lock()

    def test_a_file_removed_meanwhile_cannot_be_published(self, storage):
        staging, key = staged(storage), object_key()
        with storage.hold(staging, key) as held:
            storage.remove_staging(staging)
            with pytest.raises(FileNotFoundError):
                held.publish()
        assert storage.age_seconds("objects", key) is None

    def test_a_download_goes_on_when_its_object_is_removed(self, storage):
        key = stored(storage, b"whole")
        with storage.open_object(key) as found:
            storage.remove_object(key)
            assert found.read(0, 5) == b"whole"

    def test_an_object_that_is_there_is_not_written_over(self, storage):
        key = stored(storage, b"first")
        with pytest.raises(FileExistsError):
            storage.create_object(key)
        assert read(storage, key) == b"first"

    def test_an_object_that_was_never_finished_is_listed_and_can_be_removed(self, storage):
        key = object_key()
        with storage.create_object(key) as new:
            new.write(b"half")
        assert list(storage.old_keys("objects", older_than_seconds=-60)) == [key]
        storage.remove_object(key)
        assert storage.count_keys("objects") == 0

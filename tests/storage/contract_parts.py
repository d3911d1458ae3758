"""What every backend does with keys, and with the parts of a staging file."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from blake3 import blake3

from tests.storage.samples import object_key, pattern, published, put, staged, stored

KIB = 1024
BAD_STAGING = [
    "",
    "..",
    "../../etc/passwd",
    "ab/../cd",
    "/ab/" + "0" * 32,
    "AB/" + "0" * 32,
    "ab/" + "0" * 31,
]
BAD_STAGING += ["ab/" + "0" * 32 + "\n", "ab/cd/" + "0" * 32, "ab/" + "0" * 31 + "\0", "ab/" + "\u0660" * 32]


class PartRules:
    """Keys, ranges and their locks, and what an earlier writer left."""

    @pytest.mark.parametrize("key", BAD_STAGING)
    def test_a_staging_key_of_another_shape_is_refused(self, storage, key):
        for refuses in (
            storage.create_staging,
            storage.remove_staging,
            storage.trash_staging,
            lambda key: storage.open_part(key, offset=0, length=1),
            lambda key: storage.hold(key, object_key()),
            lambda key: storage.age_seconds("staging", key),
        ):
            with pytest.raises(ValueError):
                refuses(key)

    @pytest.mark.parametrize("key", ["../x", "ab/" + "0" * 32, "ab/cd/../" + "0" * 32, "ab/cd/" + "0" * 33])
    def test_an_object_key_of_another_shape_is_refused(self, storage, key):
        staging = staged(storage)
        for refuses in (
            storage.open_object,
            storage.remove_object,
            storage.trash_object,
            lambda key: storage.hold(staging, key),
        ):
            with pytest.raises(ValueError):
                refuses(key)

    @pytest.mark.parametrize("name", ["..", "../objects/x", "staging-", "other-00", "staging-ab/00", ""])
    def test_a_trash_name_of_another_shape_is_refused(self, storage, name):
        with pytest.raises(ValueError):
            storage.purge_trash(name)

    # Staging files and ranges

    def test_a_staging_file_is_made_once(self, storage):
        key = staged(storage, b"kept")
        with pytest.raises(FileExistsError):
            storage.create_staging(key)
        with storage.hold(key, object_key()) as held:
            assert held.size == 4

    def test_a_part_never_makes_the_staging_file(self, storage):
        # One whose folder is there, because of another file in it.
        key = staged(storage)[:3] + "0" * 32
        with pytest.raises(FileNotFoundError):
            storage.open_part(key, offset=0, length=1)
        assert storage.age_seconds("staging", key) is None

    @pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, 0), (0, -1)])
    def test_a_range_without_bytes_is_refused(self, storage, offset, length):
        with pytest.raises(ValueError):
            storage.open_part(staged(storage), offset=offset, length=length)

    def test_overlapping_ranges_exclude_each_other_until_one_is_closed(self, storage):
        key = staged(storage, b"")
        with storage.open_part(key, offset=0, length=10) as first:
            assert first.try_lock()
            assert first.try_lock()
            with storage.open_part(key, offset=9, length=10) as second:
                assert not second.try_lock()
                with storage.open_part(key, offset=0, length=5) as third:
                    assert not third.try_lock()
                first.close()
                assert second.try_lock()

    def test_neighbours_do_not_meet(self, storage):
        key = staged(storage, b"")
        with storage.open_part(key, offset=10, length=10) as middle:
            assert middle.try_lock()
            for offset in (0, 20):
                with storage.open_part(key, offset=offset, length=10) as part:
                    assert part.try_lock()

    def test_a_range_closed_by_somebody_who_never_had_it_stays_locked(self, storage):
        key = staged(storage, b"")
        with storage.open_part(key, offset=0, length=10) as part:
            assert part.try_lock()
            for _ in range(3):
                with storage.open_part(key, offset=0, length=10) as late:
                    assert not late.try_lock()

    def test_of_many_threads_one_gets_the_range(self, storage):
        key, barrier = staged(storage, b""), threading.Barrier(8)

        def attempt(_):
            part = storage.open_part(key, offset=0, length=10)
            barrier.wait()
            return part, part.try_lock()

        with ThreadPoolExecutor(8) as threads:
            attempts = list(threads.map(attempt, range(8)))
        assert sum(won for _, won in attempts) == 1
        for part, _ in attempts:
            part.close()

    def test_a_write_needs_the_lock(self, storage):
        key = staged(storage, b"")
        with storage.open_part(key, offset=0, length=10) as part:
            with pytest.raises(ValueError):
                part.write(b"x")
            assert part.try_lock()
            part.close()
            with pytest.raises(ValueError):
                part.write(b"x")

    def test_a_write_past_the_end_changes_nothing(self, storage):
        key = staged(storage, b"....neighbour")
        with storage.open_part(key, offset=0, length=4) as part:
            assert part.try_lock()
            part.write(b"ab")
            with pytest.raises(ValueError):
                part.write(b"cde")
            part.write(bytearray(b"cd"))
            assert part.written == 4
            assert part.blake3_hex() == blake3(b"abcd").hexdigest()
        assert published(storage, key) == b"abcdneighbour"

    def test_parts_in_any_order_make_the_file(self, storage):
        key, data = staged(storage, b""), pattern(300 * KIB + 7)
        for offset in (256 * KIB, 0, 128 * KIB):
            put(storage, key, data[offset : offset + 128 * KIB], offset)
        assert published(storage, key) == data

    def test_closing_twice_is_safe(self, storage):
        key = staged(storage)
        for thing in (
            storage.open_part(key, offset=0, length=1),
            storage.hold(key, object_key()),
            storage.open_object(stored(storage)),
        ):
            thing.close()
            thing.close()

    # What an earlier writer left

    def test_a_fresh_range_holds_no_data(self, storage):
        key = staged(storage, b"")
        with storage.open_part(key, offset=0, length=64 * KIB) as part:
            assert part.try_lock()
            assert not part.holds_data()

    def test_a_writer_that_gave_up_halfway_leaves_data(self, storage):
        key = staged(storage, b"")
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

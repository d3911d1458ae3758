"""What every backend does with whole files: digest, publish, read, remove, list."""

import hashlib

import pytest
from blake3 import blake3

from portal.storage.hashing import BLOCK_BYTES
from portal.storage.keys import object_key_of
from tests.storage.samples import hold, object_key, pattern, read, staged, staging_key, stored


class FileRules:
    """From the staging file to the object, and out of the storage."""

    @pytest.mark.parametrize("sizes", [[1], [0], [5, 3], [65537, 1, 65535], [BLOCK_BYTES + 1, BLOCK_BYTES - 1, 7]])
    def test_a_digest_is_that_of_the_whole_and_of_each_part(self, storage, sizes):
        data = pattern(sum(sizes))
        parts = [data[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(len(sizes))]
        with hold(storage, staged(storage, data)) as held:
            sha256, digests = held.digest(iter(sizes), beat=lambda: None)
            assert held.size == len(data)
        assert sha256 == hashlib.sha256(data).hexdigest()
        assert digests == [blake3(part).hexdigest() for part in parts]

    def test_an_empty_file_has_a_digest_and_can_be_stored(self, storage):
        key = staged(storage, b"")
        with hold(storage, key) as held:
            assert held.digest([], beat=lambda: None) == (hashlib.sha256().hexdigest(), [])
            held.publish()
        assert read(storage, key.object_key) == b""

    def test_bytes_too_few_or_too_many_show_in_the_digests(self, storage):
        with hold(storage, staged(storage, b"abcdef")) as held:
            whole = hashlib.sha256(b"abcdef").hexdigest()
            assert held.digest([4, 4, 4]) == (whole, [blake3(x).hexdigest() for x in (b"abcd", b"ef", b"")])
            assert held.digest([4]) == (whole, [blake3(b"abcd").hexdigest()])

    def test_a_digest_beats_between_blocks_and_ends_when_the_beat_raises(self, storage):
        beats = []

        def beat():
            beats.append(1)
            if len(beats) == 4:
                raise ConnectionResetError("the lease is lost")

        with hold(storage, staged(storage, pattern(3 * BLOCK_BYTES))) as held:
            held.digest([3 * BLOCK_BYTES], beat=lambda: beats.append(1))
            assert len(beats) == 3
            with pytest.raises(ConnectionResetError):
                held.digest([3 * BLOCK_BYTES], beat=beat)

    def test_publishing_moves_the_bytes_and_can_be_repeated(self, storage):
        key = staged(storage, b"whole")
        with hold(storage, key) as held:
            held.publish()
            held.publish()
        assert read(storage, key.object_key) == b"whole"
        assert storage.age_seconds("staging", key) is None

    def test_a_crash_after_the_move_is_picked_up_from_the_object(self, storage):
        key = staged(storage, b"whole")
        with hold(storage, key) as held:
            held.publish()
        with hold(storage, key) as held:
            assert held.size == 5
            assert held.digest([5])[0] == hashlib.sha256(b"whole").hexdigest()
            held.publish()
        assert read(storage, key.object_key) == b"whole"

    def test_a_file_at_neither_place_cannot_be_held(self, storage):
        with pytest.raises(FileNotFoundError):
            storage.hold(key := staging_key(), object_key_of(key), etags=[(1, "")])

    # Objects

    def test_any_range_of_an_object_can_be_read(self, storage):
        data = pattern(100)
        with storage.open_object(stored(storage, data)) as found:
            assert found.size == 100
            assert found.read(10, 5) == data[10:15]
            assert found.read(95, 50) == data[95:]
            assert found.read(100, 1) == b""

    def test_an_object_that_is_gone_is_not_found(self, storage):
        with pytest.raises(FileNotFoundError):
            storage.open_object(object_key())

    # Objects that come whole

    @pytest.mark.parametrize("pieces", [[], [b"whole"], [b"a", b"", memoryview(b"bc"), bytearray(b"d")]])
    def test_an_object_is_written_from_its_beginning(self, storage, pieces):
        key = object_key()
        with storage.create_object(key) as new:
            assert new.key == key
            for piece in pieces:
                new.write(piece)
            storage.finish_objects([new])
        assert read(storage, key) == b"".join(pieces)

    def test_many_objects_are_finished_together_in_one_folder_or_in_several(self, storage):
        first = object_key()
        keys = [first, f"{first[:6]}{'0' * 32}", object_key()]
        new = [storage.create_object(key) for key in keys]
        for number, one in enumerate(new):
            one.write(bytes([number]))
        storage.finish_objects(new)
        assert [read(storage, key) for key in keys] == [b"\0", b"\1", b"\2"]
        storage.finish_objects([])

    # Removing and listing

    def test_removing_twice_is_silent(self, storage):
        staging, key = staged(storage), stored(storage)
        for _ in range(2):
            storage.remove_staging(staging)
            storage.remove_object(key)
        assert [storage.count_keys(kind) for kind in ("staging", "objects", "trash")] == [0, 0, 0]

    def test_what_is_trashed_can_be_named_and_purged(self, storage):
        staging, key = staged(storage), stored(storage)
        for _ in range(2):
            storage.trash_staging(staging)
            storage.trash_object(key)
        names = {"objects-" + key.replace("/", "-")}
        if storage.locks:
            names.add("staging-" + staging.replace("/", "-"))
        assert set(storage.old_keys("trash", older_than_seconds=-60)) == names
        assert [storage.count_keys(kind) for kind in ("staging", "objects", "trash")] == [0, 0, len(names)]
        for name in [*names, *names]:
            storage.purge_trash(name)
        assert storage.count_keys("trash") == 0

    def test_only_what_is_older_is_listed(self, storage, clock):
        staging, key = staged(storage), stored(storage)
        assert list(storage.old_keys("staging", older_than_seconds=3600)) == []
        clock.passed = 3700
        assert list(storage.old_keys("staging", older_than_seconds=3600)) == [staging]
        assert list(storage.old_keys("objects", older_than_seconds=3600)) == [key]
        assert list(storage.old_keys("trash", older_than_seconds=3600)) == []
        assert 3690 < storage.age_seconds("staging", staging) < 3800
        assert storage.age_seconds("objects", object_key()) is None

    def test_a_listing_survives_what_is_removed_under_it(self, storage):
        keys = {staged(storage) for _ in range(20)}
        seen = set()
        for key in storage.old_keys("staging", older_than_seconds=-60):
            seen.add(key)
            storage.trash_staging(key)
        assert seen == keys
        assert storage.count_keys("trash") == (20 if storage.locks else 0)

    def test_a_healthy_storage_has_room_and_passes_its_check(self, storage):
        assert storage.free_bytes() > 0
        storage.check()
        assert [storage.count_keys(kind) for kind in ("staging", "objects", "trash")] == [0, 0, 0]

    # A second key

    def test_a_copy_is_an_object_of_its_own(self, storage):
        source, *keys = stored(storage, data := pattern(70_000)), object_key(), object_key()
        assert storage.copy_objects(dict.fromkeys(keys, source), seconds=60) == set(keys)
        storage.remove_object(source)
        assert [read(storage, key) for key in keys] == [data, data]
        storage.trash_object(keys[0])
        assert read(storage, keys[1]) == data
        assert storage.count_keys("objects") == 1

    def test_what_is_gone_is_not_copied_and_the_others_are(self, storage):
        gone, there, key = object_key(), object_key(), stored(storage)
        assert storage.copy_objects({gone: object_key(), there: key}, seconds=60) == {there}
        assert storage.age_seconds("objects", gone) is None
        assert storage.copy_objects({}, seconds=60) == set()

    def test_a_copy_is_as_young_as_it_is(self, storage, clock):
        source, key = stored(storage), object_key()
        storage.copy_objects({key: source}, seconds=60)
        assert storage.age_seconds("objects", key) < 60
        assert key not in storage.old_keys("objects", older_than_seconds=60)

    def test_a_copy_goes_to_a_key_alone(self, storage):
        with pytest.raises(ValueError, match="not a key"):
            storage.copy_objects({"../a": stored(storage)}, seconds=60)
        with pytest.raises(ValueError, match="not a key"):
            storage.copy_objects({object_key(): "../a"}, seconds=60)

"""What every backend does with keys, and with the parts of a staging file."""

import pytest
from blake3 import blake3

from tests.storage.samples import hold, new_staging, object_key, pattern, published, put, staged, stored

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
    """Keys, and parts."""

    #: rclone's server refuses other bytes for a part that it has.
    replaces_parts = True

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

    @pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, 0), (0, -1)])
    def test_a_range_without_bytes_is_refused(self, storage, offset, length):
        with pytest.raises(ValueError):
            storage.open_part(staged(storage), offset=offset, length=length)

    def test_neighbours_do_not_meet(self, storage):
        key = new_staging(storage)
        with storage.open_part(key, offset=10, length=10) as middle:
            assert middle.try_lock()
            for offset in (0, 20):
                with storage.open_part(key, offset=offset, length=10) as part:
                    assert part.try_lock()

    def test_a_write_needs_the_lock(self, storage):
        key = new_staging(storage)
        with storage.open_part(key, offset=0, length=10) as part:
            with pytest.raises(ValueError):
                part.write(b"x")
            assert part.try_lock()
            part.close()
            with pytest.raises(ValueError):
                part.write(b"x")

    def test_parts_in_any_order_make_the_file(self, storage):
        # What S3 takes as a part at least, and all of them but the last are as long.
        size = 5 * 2**20
        key, data = new_staging(storage), pattern(2 * size + 7)
        for number in (3, 1, 2):
            offset = (number - 1) * size
            put(storage, key, data[offset : offset + size], offset, number)
        assert published(storage, key) == data

    @pytest.mark.parametrize("single", [True, False])
    def test_a_part_that_is_sent_again_takes_the_place_of_the_first(self, storage, single):
        key = new_staging(storage, single=single)
        for data in (b"first" if self.replaces_parts and not (single and not storage.locks) else b"again", b"again"):
            put(storage, key, data)
        assert published(storage, key) == b"again"

    def test_a_write_past_the_end_is_refused(self, storage):
        key = new_staging(storage)
        with storage.open_part(key, offset=0, length=4, upload=key.upload) as part:
            assert part.try_lock()
            part.write(b"ab")
            with pytest.raises(ValueError):
                part.write(b"cde")
            part.write(bytearray(b"cd"))
            assert part.written == 4
            assert part.blake3_hex() == blake3(b"abcd").hexdigest()
            part.sync()
            key.etags[1] = part.etag
        assert published(storage, key) == b"abcd"

    def test_closing_twice_is_safe(self, storage):
        key = staged(storage)
        for thing in (
            storage.open_part(key, offset=0, length=1),
            hold(storage, key),
            storage.open_object(stored(storage)),
        ):
            thing.close()
            thing.close()

    # What an earlier writer left

    def test_a_fresh_range_holds_no_data(self, storage):
        key = new_staging(storage)
        with storage.open_part(key, offset=0, length=64 * KIB) as part:
            assert part.try_lock()
            assert not part.holds_data()

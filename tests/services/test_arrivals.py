"""A whole file on its way in: what it holds, what it writes, and what it refuses."""

import hashlib

import pytest

from portal.exceptions import BodyIncomplete, DigestMismatch, FileTooLarge, OutOfSpace
from portal.services.arrivals import SMALL_BYTES, Arrival
from tests.samples import pattern


def arriving(**fields):
    return Arrival(**{"original_filename": "a", "content_type": "x/y", "path": "a", **fields})


def test_a_small_file_stays_in_memory(storage):
    arrival, data = arriving(), pattern(SMALL_BYTES)
    for start in range(0, SMALL_BYTES, 1000):
        piece = data[start : start + 1000]
        assert arrival.holds(len(piece))
        arrival.write(piece, storage=storage)
    arrival.finish()
    assert arrival.object is None
    assert (arrival.size, arrival.sha256) == (SMALL_BYTES, hashlib.sha256(data).hexdigest())
    assert storage.count_keys("objects") == 0


def test_a_larger_one_is_written_as_it_comes(storage):
    arrival, data = arriving(), pattern(SMALL_BYTES + 5)
    arrival.write(data[:SMALL_BYTES], storage=storage)
    assert not arrival.holds(1)
    arrival.write(data[SMALL_BYTES:], storage=storage)
    storage.finish_objects([arrival.object])
    with storage.open_object(arrival.key) as found:
        assert found.read(0, found.size) == data
    assert arrival.sha256 == hashlib.sha256(data).hexdigest()


def test_what_is_only_compared_is_never_written(storage):
    arrival = arriving()
    arrival.compared = True
    arrival.write(pattern(SMALL_BYTES + 1), storage=storage)
    assert arrival.object is None
    assert storage.count_keys("objects") == 0


@pytest.mark.parametrize("length", [3, 5])
def test_a_file_of_another_length_than_was_announced_is_refused(storage, length):
    arrival = arriving(length=length)
    arrival.write(b"four", storage=storage)
    with pytest.raises(BodyIncomplete):
        arrival.finish()


def test_each_digest_that_was_sent_must_match(storage):
    right, wrong = hashlib.sha256(b"data").digest(), hashlib.sha256(b"else").digest()
    for sha256s, refused in (([right], False), ([right, right], False), ([right, wrong], True), ([wrong], True)):
        arrival = arriving(sha256s=sha256s)
        arrival.write(b"data", storage=storage)
        if refused:
            with pytest.raises(DigestMismatch):
                arrival.finish()
        else:
            arrival.finish()


def test_a_file_over_the_maximum_is_refused_when_it_is_announced_or_as_soon_as_it_is_seen(storage, settings):
    settings.PORTAL_MAX_FILE_SIZE = 10
    with pytest.raises(FileTooLarge) as refused:
        arriving(length=11)
    assert refused.value.extra == {"max_file_size_bytes": 10}
    arrival = arriving()
    arrival.write(b"0123456789", storage=storage)
    with pytest.raises(FileTooLarge):
        arrival.write(b"x", storage=storage)
    assert arrival.size == 10


def test_a_full_disk_is_told_as_such(storage):
    storage.capacity = 10
    with pytest.raises(OutOfSpace):
        arriving().write(pattern(SMALL_BYTES + 1), storage=storage)

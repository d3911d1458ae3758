"""The part grid: chunks in bounds and near the wish, never more than 10,000 parts."""

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from portal.exceptions import FileTooLarge
from portal.services.limits import CHUNK_STEP, MAX_PARTS, choose_chunk_size, count_parts, describe_limits

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
LARGEST = 5 * TIB


@pytest.fixture(autouse=True)
def bounds(settings):
    """The bounds as they are shipped, whatever the environment says."""
    settings.PORTAL_MAX_FILE_SIZE = LARGEST
    settings.PORTAL_CHUNK_SIZE, settings.PORTAL_CHUNK_SIZE_MIN = 8 * MIB, 64 * KIB
    settings.PORTAL_CHUNK_SIZE_MAX = 5 * GIB
    return settings


# The fixture sets the same values for every example.
@effort(deadline=None, max_examples=300)
@given(total=st.integers(0, LARGEST), wish=st.none() | st.integers(1, 2**63 - 1))
def test_every_file_has_a_grid_that_covers_it_exactly(total, wish):
    chunk = choose_chunk_size(total, wish)
    parts = count_parts(total, chunk)
    assert 64 * KIB <= chunk <= 5 * GIB
    assert chunk % CHUNK_STEP == 0
    assert parts <= MAX_PARTS
    assert (parts - 1) * chunk < total <= parts * chunk or total == parts == 0


@pytest.mark.parametrize(
    ("total", "wish", "chunk"),
    [
        (1, None, 8 * MIB),
        (0, None, 8 * MIB),
        (100 * MIB, 64 * KIB, 64 * KIB),
        (100 * MIB, 16 * MIB, 16 * MIB),
        (100 * MIB, 64 * KIB + 1, 128 * KIB),
        (100 * MIB, 1, 64 * KIB),
        (100 * MIB, 2**63 - 1, 5 * GIB),
        (MAX_PARTS * 64 * KIB, 64 * KIB, 64 * KIB),
        (MAX_PARTS * 64 * KIB + 1, 64 * KIB, 128 * KIB),
        (MAX_PARTS * 8 * MIB, None, 8 * MIB),
        (MAX_PARTS * 8 * MIB + 1, None, 8 * MIB + 64 * KIB),
    ],
)
def test_a_chunk_is_near_the_wish_and_large_enough(total, wish, chunk):
    assert choose_chunk_size(total, wish) == chunk


def test_a_wish_is_held_to_the_bounds_that_are_set(bounds):
    bounds.PORTAL_CHUNK_SIZE_MIN, bounds.PORTAL_CHUNK_SIZE_MAX = MIB, 4 * MIB
    assert choose_chunk_size(100 * MIB, 64 * KIB) == MIB
    assert choose_chunk_size(100 * MIB, GIB) == 4 * MIB


@pytest.mark.parametrize(("total", "parts"), [(0, 0), (1, 1), (MIB - 1, 1), (MIB, 1), (MIB + 1, 2), (10 * MIB, 10)])
def test_parts_are_counted_upwards(total, parts):
    assert count_parts(total, MIB) == parts


def test_the_largest_file_is_taken_and_one_byte_more_is_not():
    assert choose_chunk_size(LARGEST)
    with pytest.raises(FileTooLarge) as refused:
        choose_chunk_size(LARGEST + 1)
    assert refused.value.extra == {"max_file_size_bytes": LARGEST}


def test_a_file_of_more_than_10000_of_the_largest_chunks_is_too_large(bounds):
    bounds.PORTAL_CHUNK_SIZE = bounds.PORTAL_CHUNK_SIZE_MAX = MIB
    assert choose_chunk_size(MAX_PARTS * MIB) == MIB
    with pytest.raises(FileTooLarge):
        choose_chunk_size(MAX_PARTS * MIB + 1)
    assert describe_limits()["max_file_size_bytes"] == MAX_PARTS * MIB


def test_the_limits_say_what_the_settings_say(bounds):
    bounds.PORTAL_SESSION_TTL_HOURS = 2
    assert describe_limits() == {
        "max_file_size_bytes": LARGEST,
        "chunk_size_bytes": 8 * MIB,
        "chunk_size_min_bytes": 64 * KIB,
        "chunk_size_max_bytes": 5 * GIB,
        "max_parts": 10_000,
        "max_bulk_files": 1_000,
        "session_ttl_seconds": 7200,
        "max_metadata_bytes": 16 * KIB,
    }


def test_chunk_sizes_that_are_no_multiple_of_64_kib_are_rounded_up_wherever_they_show(bounds):
    bounds.PORTAL_CHUNK_SIZE, bounds.PORTAL_CHUNK_SIZE_MIN = 100_000, 70_000
    limits = describe_limits()
    assert limits["chunk_size_bytes"] == choose_chunk_size(1) == 128 * KIB
    assert limits["chunk_size_min_bytes"] == choose_chunk_size(1, wish=1) == 128 * KIB

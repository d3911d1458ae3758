"""Paths that were met before: each is known again, and hardly any other is."""

from portal.transfer.repeats import TABLE_BYTES, Repeats


def test_what_was_met_is_known_and_hardly_anything_else():
    repeats = Repeats()
    assert sum(repeats.meet(f"a/{number}") for number in range(20_000)) < 5
    assert all(repeats.meet(f"a/{number}") for number in range(0, 20_000, 7))


def test_the_table_does_not_grow():
    repeats = Repeats()
    for number in range(1000):
        repeats.meet("ä" * number)
    assert len(repeats._table) == TABLE_BYTES

"""Ranges and entity tags of RFC 9110: which bytes are meant, and which tag is named."""

import time

import pytest

from portal.transfer.conditions import names_tag, parse_range, range_applies

TAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=0-99", (0, 10)),
        ("bytes=3-5", (3, 6)),
        ("bytes=9-", (9, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=-1", (9, 10)),
        ("bytes=-10", (0, 10)),
        ("bytes=-99", (0, 10)),
        ("BYTES=1-2", (1, 3)),
        (" bytes=1-2 ", (1, 3)),
        ("bytes=0001-0002", (1, 3)),
        ("bytes=1-" + "9" * 5000, (1, 10)),
        ("bytes=-" + "9" * 5000, (0, 10)),
    ],
)
def test_one_range_is_that_range(header, span):
    assert parse_range(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=99-", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_outside_of_the_file_cannot_be_had(header):
    with pytest.raises(ValueError):
        parse_range(header, 10)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_no_range_of_an_empty_file_can_be_had(header):
    with pytest.raises(ValueError):
        parse_range(header, 0)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-3",
        "bytes=0-1,3-4",
        "bytes=0-1, 3-4",
        "bytes=a-b",
        "bytes=1--2",
        "bytes=--2",
        "bytes=0x1-2",
        "bytes=٣-٤",
        "bytes= 1-2",
        "lines=1-2",
        "1-2",
    ],
)
def test_what_is_no_single_range_means_the_whole_file(header):
    assert parse_range(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=" + " " * 400_000 + "x", "bytes=" + "9" * 400_000 + "x", "bytes" * 80_000])
def test_a_header_made_to_be_slow_is_read_at_once(header):
    began = time.process_time()
    assert parse_range(header, 10) is None
    names_tag(header.replace("b", '"'), TAG, weak=True)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("header", [TAG, "*", " * ", '"x", "abc"', '"x","abc" , W/"y"'])
@pytest.mark.parametrize("weak", [True, False])
def test_a_list_names_the_tags_in_it(header, weak):
    assert names_tag(header, TAG, weak=weak)


@pytest.mark.parametrize("header", ["", "abc", '"ab"', '"abc', '"x"', '"*"', '"abcd"', '"a","bc"'])
@pytest.mark.parametrize("weak", [True, False])
def test_a_list_does_not_name_other_tags(header, weak):
    assert not names_tag(header, TAG, weak=weak)


def test_a_weak_tag_counts_only_where_weak_ones_do():
    assert names_tag(f"W/{TAG}", TAG, weak=True)
    assert not names_tag(f"W/{TAG}", TAG, weak=False)


@pytest.mark.parametrize("if_range", [None, TAG, f" {TAG} "])
def test_a_range_applies_to_this_version(if_range):
    assert range_applies(if_range, TAG)


@pytest.mark.parametrize("if_range", [f"W/{TAG}", '"x"', "", "*", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_range_does_not_apply_to_another_version(if_range):
    assert not range_applies(if_range, TAG)

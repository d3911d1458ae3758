"""The reader of tar streams: the same events however the stream is cut, and nothing that it cannot bear."""

import bz2
import gzip
import lzma
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.exceptions import StreamBroken
from portal.transfer.members import Member
from portal.transfer.tar import BLOCK, MAX_HEADER_BYTES, PLAIN_HEADER, TarReader, read_header, read_pax
from tests.samples import pattern
from tests.transfer.tars import BROKEN, END, REFUSED, SKIPPED, A, Z, archive, header, member


def refusal(stream):
    """Return the sentence with which the stream is refused."""
    reader = TarReader()
    try:
        list(reader.feed(stream))
        reader.finish()
    except StreamBroken as error:
        return error.detail
    return "nothing was wrong with it"


@pytest.mark.parametrize(
    ("compress", "name"),
    [
        (gzip.compress, "gzip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (b"\x28\xb5\x2f\xfd\x20".__add__, "zstd"),
    ],
)
@pytest.mark.parametrize("size", [10, 50_000])
def test_a_compressed_archive_is_told_as_one(compress, name, size):
    packed = compress(archive([("a", os.urandom(size))]))
    assert len(packed) > BLOCK or size == 10
    assert refusal(packed) == f"The archive is compressed with {name}; send it as tar alone."
    assert refusal(archive([("a", packed)])[: 512 + len(packed)]) == "The archive ends without its end mark."
    assert refusal(header(b"a", 0) + packed[:BLOCK].ljust(BLOCK, b"x")).startswith("Not a header of a tar archive")


def test_a_member_may_be_called_like_a_compressed_archive():
    assert refusal(archive([("BZh-notes.txt", b"x")])[:300]) == "The archive ends without its end mark."


def read(stream, step=None):
    """Return what a reader tells of the stream: `(name, path, bytes or the code of the refusal)`, and how it ends."""
    reader, seen, step = TarReader(), [], step or len(stream) or 1
    try:
        for start in range(0, len(stream), step):
            for event in reader.feed(stream[start : start + step]):
                if isinstance(event, Member):
                    seen.append([event.name, event.path, event.error.code if event.error else b""])
                elif event is not None:
                    seen[-1][2] += bytes(event)
        reader.finish()
    except StreamBroken as error:
        return seen, error.code
    return seen, None


@pytest.mark.parametrize("step", [None, 1, 511, 512, 513, 1000])
@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_the_standard_library_writes_is_read(fmt, step):
    names = ["a", "b/c", "ä ö", "d" * 100, "e" * 90 + "/" + "f" * 90]
    names += ["g" * 300, "h/" * 400 + "h"] if fmt != tarfile.USTAR_FORMAT else []
    members = [(name, pattern(number * 300, seed=name)) for number, name in enumerate(names)]
    found, end = read(archive(members, fmt), step)
    assert end is None
    assert [(path, data) for _, path, data in found] == members


FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
#: Where a header has something to decode: its fields' first and last bytes, and what lies in between now and then.
PLACES = st.sampled_from([0, 1, 99, 100, 106, 107, 115, 124, 134, 135, 147, 148, 153, 154, 155, 156, 157, 256, 257])
MORE_PLACES = st.sampled_from([262, 263, 264, 265, 329, 335, 336, 337, 344, 345, 346, 499, 500, 511])
BYTES = st.sampled_from(b"\0 /0178a-_\x80\xff")


def sealed(block):
    """Return a header with the checksum that its bytes have."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@settings(max_examples=300)
@given(
    fmt=st.sampled_from(FORMATS),
    name=st.text("aé /.", min_size=1, max_size=40).map(lambda name: "b/" + name),
    size=st.integers(0, 8**11 - 1),
    changes=st.lists(st.tuples(PLACES | MORE_PLACES, BYTES), max_size=3),
    again=st.booleans(),
)
def test_a_header_that_is_read_by_ourselves_is_what_the_standard_library_reads(fmt, name, size, changes, again):
    told = tarfile.TarInfo(name)
    told.size = size
    block = bytearray(told.tobuf(fmt, "utf-8", "surrogateescape")[-512:])
    for place, byte in changes:
        block[place] = byte
    block = sealed(block) if again else bytes(block)
    if changes and not PLAIN_HEADER.fullmatch(block):
        return
    try:
        theirs = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        with pytest.raises(StreamBroken):
            read_header(block)
    else:
        ours = read_header(block)
        assert (ours.name, ours.size, ours.type) == (theirs.name, theirs.size, theirs.type)


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_header_of_a_plain_file_is_read_by_ourselves(fmt, monkeypatch):
    monkeypatch.setattr(tarfile.TarInfo, "frombuf", None)
    for name, size in (("a", 0), ("a b/c", 5), ("d" * 60 + "/" + "e" * 60, 8**11 - 1)):
        if fmt == tarfile.USTAR_FORMAT or len(name) < 100:
            header = tarfile.TarInfo(name)
            header.size = size
            block = header.tobuf(fmt)[-512:]
            assert (read_header(block).name, read_header(block).size) == (name, size)


@pytest.mark.parametrize(("stream", "path", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_each_odd_member_is_told_and_those_around_it_are_read(stream, path, code):
    whole = A + stream + Z + END
    found, end = read(whole)
    assert end is None
    first, odd, last = found
    assert (first[1:], last[1:]) == (["first", b"1"], ["last", b"2"])
    assert odd[0] == path
    if code not in (None, "path_taken"):
        assert odd[2] == code
    for step in (1, 7, 512):
        assert read(whole, step) == (found, None)


@pytest.mark.parametrize("stream", [case[1] for case in SKIPPED], ids=[case[0] for case in SKIPPED])
def test_what_is_no_file_and_no_link_is_skipped(stream):
    assert read(A + stream + Z + END) == ([["first", "first", b"1"], ["last", "last", b"2"]], None)


@pytest.mark.parametrize("stream", [case[1] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_stream_that_cannot_be_read_on_is_broken(stream):
    for step in (None, 1, 512):
        found, end = read(A + stream + Z + END, step)
        assert found == [["first", "first", b"1"]]
        assert end == "broken_stream"


def test_a_stream_that_is_cut_anywhere_before_its_end_is_broken():
    whole = A + REFUSED[0][1] + Z
    for cut in range(0, len(whole) + 1, 19):
        assert read(whole[:cut])[1] == "broken_stream"
    assert read(whole + END)[1] is read(whole + END[:512])[1] is None


def test_bytes_after_the_end_are_no_archive():
    assert read(A + END + bytes(8192))[1] is None
    assert read(A + END + Z)[1] == "broken_stream"
    assert read(A + END + b"\0" * 5000 + b"x", 512)[1] == "broken_stream"


def test_a_declared_size_of_exabytes_costs_nothing():
    huge = header(b"huge", b"\x80" + bytes(3) + b"\xff" * 8)
    reader = TarReader()
    (first,) = reader.feed(huge)
    assert first.size == 2**64 - 1
    assert [bytes(event) for event in reader.feed(b"some")] == [b"some"]


def test_what_describes_a_member_is_held_up_to_its_limit_only():
    found, end = read(member(b"L", b"a" * MAX_HEADER_BYTES, kind=b"L") + Z + END, 65536)
    assert (len(found[0][0]), end) == (MAX_HEADER_BYTES, None)
    assert read(member(b"L", b"a" * (MAX_HEADER_BYTES + 1), kind=b"L"))[1] == "broken_stream"


def test_pax_records_are_read_by_their_length():
    assert read_pax(b"12 path=a=b\n13 comment=\n\n") == {b"path": b"a=b", b"comment": b"\n"}
    assert read_pax(b"8 size=7\n".replace(b"8", b"9")) == {b"size": 7}
    assert read_pax(b"") == {}

"""Tar archives made by hand, header by header: what no tar program would write."""

import io
import tarfile


def header(name=b"a", size=0, kind=b"0", **fields):
    """Return one header block of 512 bytes with its checksum; `fields` are bytes put at their place by its name."""
    block = bytearray(512)
    block[: len(name[:100])] = name[:100]
    block[100:108], block[108:124] = b"0000644\0", b"0000000\0" * 2
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = fields.get("magic", b"ustar\00000")
    block[345 : 345 + len(fields.get("prefix", b""))] = fields.get("prefix", b"")
    for place, data in fields.get("at", {}).items():
        block[place : place + len(data)] = data
    return with_checksum(block)


def with_checksum(block):
    """Return the header with the checksum that it should have."""
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data):
    """Return these bytes, filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def member(name=b"a", data=b"data", **fields):
    """Return a header and its bytes."""
    return header(name, len(data), **fields) + padded(data)


def pax(*records, kind=b"x"):
    """Return a pax header of `(keyword, value)` pairs."""
    return member(b"PaxHeader", b"".join(record(*pair) for pair in records), kind=kind)


def record(keyword, value):
    """Return one record of a pax header, its length included in itself."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, keyword, value)


END = bytes(1024)
A, Z = member(b"first", b"1"), member(b"last", b"2")


def archive(members, fmt=tarfile.PAX_FORMAT):
    """Return an archive of `(name, data)` pairs as the standard library writes it."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=fmt) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return written.getvalue()


#: What is refused of a stream that goes on: (name, the stream between two good members, path, code).
REFUSED = [
    ("symlink", header(b"bad", kind=b"2", at={157: b"/etc/passwd"}), "bad", "not_a_file"),
    ("hard link", header(b"bad", kind=b"1", at={157: b"first"}), "bad", "not_a_file"),
    ("hard link with a size", header(b"bad", 9999, kind=b"1", at={157: b"first"}), "bad", "not_a_file"),
    ("character device", header(b"bad", kind=b"3"), "bad", "not_a_file"),
    ("block device", header(b"bad", kind=b"4"), "bad", "not_a_file"),
    ("fifo", header(b"bad", kind=b"6"), "bad", "not_a_file"),
    ("unknown type", member(b"bad", b"x" * 700, kind=b"Q"), "bad", "not_a_file"),
    ("multi-volume", member(b"bad", b"x", kind=b"M"), "bad", "not_a_file"),
    ("old long name", member(b"bad", b"x", kind=b"N"), "bad", "not_a_file"),
    ("sparse", member(b"bad", b"x" * 512, kind=b"S", at={386: b"00000000000\000001000\0"}), "bad", "not_a_file"),
    (
        "sparse with more maps",
        header(b"bad", 5, kind=b"S", at={482: b"\1"}) + bytes(504) + b"\1" + bytes(7) + bytes(512) + padded(b"12345"),
        "bad",
        "not_a_file",
    ),
    ("pax sparse", pax((b"GNU.sparse.major", b"1"), (b"path", b"bad")) + member(b"x"), "bad", "not_a_file"),
    (
        "pax sparse under its own name",
        pax((b"GNU.sparse.name", b"bad"), (b"path", b"./GNUSparseFile.1/bad")) + member(b"x"),
        "bad",
        "not_a_file",
    ),
    ("pax sparse of 10 TiB", pax((b"GNU.sparse.realsize", b"10995116277760")) + member(b"bad"), "bad", "not_a_file"),
    (
        "long link name",
        member(b"././@LongLink", b"x" * 3000, kind=b"K") + header(b"bad", kind=b"2"),
        "bad",
        "not_a_file",
    ),
    ("absolute", member(b"/etc/passwd"), "/etc/passwd", "invalid"),
    ("two slashes", member(b"//a"), "//a", "invalid"),
    ("dots", member(b"../a"), "../a", "invalid"),
    ("dots inside", member(b"a/../../b"), "a/../../b", "invalid"),
    ("dots at the end", member(b"a/.."), "a/..", "invalid"),
    ("a dot inside", member(b"a/./b"), "a/./b", "invalid"),
    ("dots after a dot", member(b"./../b"), "../b", "invalid"),
    ("a slash after a dot", member(b".//b"), "b", None),
    ("empty", member(b""), "", "invalid"),
    ("only a dot", member(b"."), ".", "invalid"),
    ("empty segment", member(b"a//b"), "a//b", "invalid"),
    ("backslash", member(b"a\\b"), "a\\b", "invalid"),
    ("newline", member(b"a\nb"), "a\nb", "invalid"),
    ("escape", member(b"\x1b[2J"), "\x1b[2J", "invalid"),
    ("not UTF-8", member(b"a\xff"), "a\ufffd", "invalid"),
    ("a surrogate", member(b"\xed\xa0\x80"), "\ufffd\ufffd\ufffd", "invalid"),
    ("a slash at the end, and bytes", member(b"a/"), "a/", "invalid"),
    ("absolute by prefix", member(b"passwd", prefix=b"/etc"), "/etc/passwd", "invalid"),
    ("dots by prefix", member(b"a", prefix=b".."), "../a", "invalid"),
    ("dots by pax", pax((b"path", b"../a")) + member(b"good"), "../a", "invalid"),
    ("NUL by pax", pax((b"path", b"a\0b")) + member(b"good"), "a\0b", "invalid"),
    ("binary by pax", pax((b"hdrcharset", b"BINARY"), (b"path", b"\xff")) + member(b"good"), "\ufffd", "invalid"),
    ("dots by long name", member(b"L", b"../a\0", kind=b"L") + member(b"good"), "../a", "invalid"),
    ("a name of 1,025 bytes", pax((b"path", b"a" * 1025)) + member(b"x"), "a" * 1025, "invalid"),
    ("a name of 100,000 bytes", member(b"L", b"a" * 100_000, kind=b"L") + member(b"x"), "a" * 100_000, "invalid"),
    ("duplicate with other bytes", member(b"first", b"other"), "first", "path_taken"),
    ("duplicate with the same bytes", member(b"first", b"1"), "first", "path_taken"),
    ("duplicate of a leading dot", member(b"./first", b"1"), "first", "path_taken"),
    ("a name of 1,024 bytes", pax((b"path", b"a" * 1024)) + member(b"x"), "a" * 1024, None),
    ("a pax name", pax((b"path", "ä/ö".encode()), (b"mtime", b"1.5")) + member(b"x"), "ä/ö", None),
    ("a GNU name", member(b"L", b"n" * 300 + b"\0", kind=b"L") + member(b"x"), "n" * 300, None),
    ("a prefix", member(b"b", prefix=b"a"), "a/b", None),
    ("V7", member(b"old", magic=bytes(8), kind=b"\0"), "old", None),
    ("contiguous", member(b"old", kind=b"7"), "old", None),
    ("a size in base 256", header(b"b", b"\x80" + bytes(10) + b"\4") + padded(b"four"), "b", None),
    ("a pax size", pax((b"size", b"4")) + header(b"b", 0) + padded(b"four"), "b", None),
    ("a leading dot", member(b"././a"), "a", None),
    ("a dash", member(b"-rf"), "-rf", None),
    ("an empty file", header(b"empty"), "empty", None),
]
#: Skipped without a result.
SKIPPED = [
    ("folder", header(b"folder/", kind=b"5")),
    ("folder with a size", header(b"folder/", 9999, kind=b"5")),
    ("folder of V7", header(b"folder/", kind=b"\0", magic=bytes(8))),
    ("folder older than its type", header(b"olddir/")),
    ("folder older than its type of a long name", pax((b"path", b"o" * 200 + b"/")) + header(b"o")),
    ("bad folder", header(b"../folder", kind=b"5")),
    ("GNU folder with its list", member(b"folder/", b"Yname\0", kind=b"D")),
    ("volume label", header(b"label", kind=b"V")),
    ("global header", pax((b"comment", b"0123abc"), kind=b"g")),
]
#: From here on nothing can be read.
BROKEN = [
    ("wrong checksum", header(b"bad")[:-1] + b"x"),
    ("no tar at all", b"PK\3\4" + b"x" * 508),
    ("gzip", b"\x1f\x8b\x08\0" + b"x" * 508),
    ("random text as size", with_checksum(header(b"bad", b"abcdefghijk\0"))),
    ("negative size", header(b"bad", b"\xff" * 12)),
    ("negative pax size", pax((b"size", b"-5")) + header(b"bad")),
    ("a pax size that is no number", pax((b"size", b"1e3")) + header(b"bad")),
    ("a pax record that is too long", member(b"x", b"99 path=a\n", kind=b"x") + header(b"bad")),
    ("a pax record that is too short", member(b"x", b"5 path=a\n", kind=b"x") + header(b"bad")),
    ("a pax record of length zero", member(b"x", b"0 path=a\n", kind=b"x") + header(b"bad")),
    ("a pax record without a line end", member(b"x", b"9 path=ab", kind=b"x") + header(b"bad")),
    ("a pax record without an equals sign", member(b"x", b"7 path\n", kind=b"x") + header(b"bad")),
    ("a pax header of 8 GiB", header(b"x", 2**33 - 1, kind=b"x")),
    ("a long name of 8 GiB", header(b"L", 2**33 - 1, kind=b"L")),
    ("an empty long name", header(b"L", 0, kind=b"L")),
    ("a global size", pax((b"size", b"4"), kind=b"g")),
    ("a global path", pax((b"path", b"a"), kind=b"g")),
]

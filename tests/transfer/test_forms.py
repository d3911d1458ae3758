"""The reader of forms: file fields alone, however the form is cut."""

import pytest

from portal.exceptions import Invalid, PortalError, StreamBroken
from portal.transfer.fields import MAX_HEADERS
from portal.transfer.forms import LINE_END, MAX_HEAD_BYTES, FormReader, read_boundary
from portal.transfer.members import Member

START, BOUNDARY = b"--B\r\n", "B"


def field(disposition, data=b"data", *lines):
    """Return one part of a form."""
    head = [b"Content-Disposition: form-data; " + disposition, *lines]
    return START + b"\r\n".join(head) + b"\r\n\r\n" + data + b"\r\n"


def file(name, data=b"data", *lines):
    """Return a file field of this name, its quotes included."""
    return field(b'name="files"; filename=' + name, data, *lines)


END = b"--B--\r\n"
A, Z = file(b'"first"', b"1"), file(b'"last"', b"2")


def read(stream, step=None):
    """Return what a reader tells of the stream: `(path, type, bytes or the code of the refusal)`, and how it ends."""
    reader, seen, step = FormReader(BOUNDARY), [], step or len(stream) or 1
    try:
        for start in range(0, len(stream), step):
            for event in reader.feed(stream[start : start + step]):
                if isinstance(event, Member):
                    name = event.path or event.name
                    seen.append([name, event.content_type, event.error.code if event.error else b""])
                elif isinstance(event, PortalError):
                    seen[-1][2] = event.code
                elif event is not None:
                    seen[-1][2] += event
        reader.finish()
    except StreamBroken as error:
        return seen, error.code
    return seen, None


@pytest.mark.parametrize("step", [None, 1, 2, 7, 100])
def test_file_fields_are_read_and_others_ignored(step):
    typed = file(b'"b/c d"', b"\r\n--b\n\r\n--", b"Content-Type: text/plain; charset=utf-8")
    stream = A + field(b'name="csrf"', b"secret") + typed + file(b'""', b"") + file(b'"empty"', b"") + Z + END
    default = "application/octet-stream"
    assert read(stream, step) == (
        [
            ["first", default, b"1"],
            ["b/c d", "text/plain; charset=utf-8", b"\r\n--b\n\r\n--"],
            ["empty", default, b""],
            ["last", default, b"2"],
        ],
        None,
    )


@pytest.mark.parametrize(
    "name",
    [
        *(b'"/etc/passwd"', b'"../a"', b'"a/../b"', b'"a//b"', b'"a/"', b'"."', b'"./a"', b'"a\\b"', b'"a\0b"'),
        *(b'"C:\\a\\w.txt"', b'"C:\\\\a\\\\w.txt"', b'"\\\\server\\w.txt"', b"C:\\w.txt", b'"a\\\\\\"b"', b"\xff"),
        *(b'"a%0Ab"', b'"a%0D%0AX-Evil: 1"', b'"\x1b[2J"', b"..", b'"' + b"a" * 1025 + b'"'),
    ],
)
def test_a_bad_name_is_told_and_those_around_it_are_read(name):
    whole = A + file(name, b"x" * 1000) + Z + END
    found, end = read(whole)
    assert end is None
    assert [data for _, _, data in found] == [b"1", "invalid", b"2"]
    assert read(whole, 3) == (found, None)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b'"a b"', "a b"),
        (b"plain", "plain"),
        (b'"a%22b"', 'a"b'),
        (b'"\xc3\xa4"', "ä"),
        (b'"a/b/c"', "a/b/c"),
        (b"plain name ; x=y;", "plain name"),
        (b'"a\\"b"', 'a"b'),
        (b'"a;b=c"; x="y"', "a;b=c"),
        (b"\"old\"; filename*=UTF-8''a%2Fb%20%C3%A4", "a/b ä"),
        (b'"' + b"a" * 1024 + b'"', "a" * 1024),
    ],
)
def test_a_good_name_is_the_path(name, path):
    assert read(A + file(name) + Z + END)[0][1][0] == path


#: Parts that are refused, each by itself: (what is wrong, the part, the name that it has as far as that can be read).
REFUSED = [
    ("a name that is not UTF-8", file(b'"a\xff"'), "a\ufffd"),
    ("a bare name that is not UTF-8", START + b"Content-Disposition: form-data; filename=\xff\r\n\r\n\r\n", "\ufffd"),
    ("no headers", START + b"\r\ndata\r\n", None),
    ("no disposition", START + b"Content-Type: text/plain\r\n\r\ndata\r\n", None),
    ("an attachment", START + b"Content-Disposition: attachment; filename=a\r\n\r\ndata\r\n", "a"),
    ("a header without a colon", file(b'"a"', b"data", b"no header"), "a"),
    ("nothing but a header without a colon", START + b"no header\r\n\r\ndata\r\n", None),
    ("a first header that goes on", START + b" a: b\r\nContent-Disposition: form-data; filename=a\r\n\r\n\r\n", "a"),
    ("line breaks of Unix", START + b'Content-Disposition: form-data; filename="a"\n\ndata\r\n', None),
    ("no empty line", START + b'Content-Disposition: form-data; filename="a"\r\n', None),
    ("a header of 9 KB", file(b'"a"', b"data", b"X: " + b"a" * 9000), None),
    ("headers of 100 KB", file(b'"a"', b"data", *[b"X: " + b"a" * 1000] * 100), None),
    ("40 headers", file(b'"a"', b"data", *[b"X: 1"] * 40), "a"),
    ("two names", file(b'"a"', b"data", b'Content-Disposition: form-data; filename="b"'), "a"),
    ("fewer bytes than its length", file(b'"a"', b"data", b"Content-Length: 9"), "a"),
    ("more bytes than its length", file(b'"a"', b"data", b"Content-Length: 3"), "a"),
    ("no bytes where there should be", file(b'"a"', b"", b"Content-Length: 3"), "a"),
    ("a length below zero", file(b'"a"', b"data", b"Content-Length: -1"), "a"),
    ("a length that is no number", file(b'"a"', b"data", b"Content-Length: four"), "a"),
    ("a name without its last quote", file(b'"abc'), None),
    ("a name that ends in an escaped quote", file(b'"abc\\"'), None),
    ("a media type that is not UTF-8", file(b'"a"', b"data", b"Content-Type: a\xff"), "a"),
    ("a media type with a NUL", file(b'"a"', b"data", b"Content-Type: a\0"), "a"),
    ("a name of another charset", field(b"name=a; filename*=KOI8-R''a"), None),
    ("an extended name without its quotes", field(b"name=a; filename*=a"), None),
    ("an extended name that is not UTF-8", field(b"name=a; filename*=UTF-8''%FF"), "\ufffd"),
    ("an extended name with a backslash", field(b"name=a; filename*=UTF-8''a%5Cb"), "a\\b"),
]


@pytest.mark.parametrize(("stream", "name"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_part_that_cannot_be_taken_is_told_and_those_around_it_are_read(stream, name):
    for step in (None, 1, 3, 100):
        found, end = read(A + stream + Z + END, step)
        assert end is None
        assert [(path, data) for path, _, data in found] == [("first", b"1"), (name, "invalid"), ("last", b"2")]


@pytest.mark.parametrize("stream", [case[1] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_is_wrong_is_told_in_plain_words(stream):
    events = [event for event in FormReader(BOUNDARY).feed(stream + END) if event not in (None, b"data")]
    error = events[-1].error if isinstance(events[-1], Member) else events[-1]
    assert error.detail[0].isupper() or error.detail.startswith("filename*")
    assert error.detail[-1] == "."
    assert not set("'\\") & set(error.detail.replace("UTF-8''", ""))
    assert "Error" not in error.detail


def test_a_field_may_have_its_length_and_some_more_headers():
    lengthy = file(b'"a"', b"data", b"content-length:4 ", b"X-Long: a", b" b", *[b"X: 1"] * (MAX_HEADERS - 3))
    assert read(A + lengthy + Z + END)[0][1] == ["a", "application/octet-stream", b"data"]
    assert read(A + lengthy.replace(b"X: 1\r\n", b"X: 1\r\n" * 2, 1) + Z + END)[0][1][2] == "invalid"


@pytest.mark.parametrize("step", [None, 1])
def test_headers_have_a_limit_that_does_not_hang_on_how_the_form_is_cut(step):
    start = len(b'\r\nContent-Disposition: form-data; name="files"; filename="a"\r\nX: ')
    for extra, outcome in ((0, b"data"), (1, "invalid")):
        long = file(b'"a"', b"data", b"X: " + b"x" * (MAX_HEAD_BYTES - start + extra))
        assert [data for _, _, data in read(A + long + Z + END, step)[0]] == [b"1", outcome, b"2"]


def test_headers_that_never_end_are_not_held():
    reader = FormReader(BOUNDARY)
    seen = [event for _ in range(100) for event in reader.feed(START + b"X" * 65536)]
    assert len(seen) <= 1
    assert len(reader._buffer) <= 2 * 65536


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize("name", [b'filename=""', b"filename*=UTF-8''", b"filename="])
def test_bytes_of_a_file_without_a_name_are_refused_and_not_lost_without_a_word(name, step):
    (first, last), _ = read(A + Z + END)
    refused = [None, "application/octet-stream", "invalid"]
    assert read(A + field(b"name=a; " + name) + Z + END, step) == ([first, refused, last], None)
    assert read(A + field(b"name=a; " + name, b"") + Z + END, step) == ([first, last], None)


def test_a_form_of_bare_boundaries_is_read_in_a_time_that_grows_with_its_length():
    class Counting(bytes):
        """Bytes that add up how far they are searched."""

        searched = 0

        def find(self, wanted, start=0, end=None):
            end = len(self) if end is None else min(end, len(self))
            found = super().find(wanted, start, end)
            Counting.searched += (end if found < 0 else found) - start
            return found

    reader = FormReader(BOUNDARY)
    reader._buffer = Counting(LINE_END + START * 10_000 + END)
    while not reader._complete:
        list(reader._read_head() if reader._in_head else reader._read_bytes())
    assert Counting.searched < 20 * len(reader._buffer)


def test_a_field_without_a_name_of_a_file_is_ignored_whatever_its_length_says():
    ignored = field(b'name="note"', b"data", b"Content-Length: 9") + field(b"name=a; filename*=UTF-8''", b"")
    assert read(A + ignored + Z + END) == read(A + Z + END)


def test_text_before_the_first_boundary_is_no_member():
    assert read(b"a preamble\r\n" + A + Z + END, 1) == read(A + Z + END)


@pytest.mark.parametrize("stream", [b"--Bx\r\n", b"--B-\r\n", b"--B\n"])
def test_a_boundary_that_goes_on_in_other_words_breaks_the_form(stream):
    for step in (None, 1):
        found, end = read(A + stream + Z + END, step)
        assert found[0][:2] == ["first", "application/octet-stream"]
        assert end == "broken_stream"


def test_a_form_that_is_cut_anywhere_before_its_end_is_broken():
    whole = A + Z + b"--B--"
    for cut in range(len(whole)):
        assert read(whole[:cut])[1] == "broken_stream"
    assert read(whole)[1] is None
    assert read(whole + b"\r\nepilogue", 1)[1] is None


def test_a_form_of_nothing_has_no_members():
    assert read(END) == ([], None)


@pytest.mark.parametrize("value", ["", "; boundary=", "; boundary=" + "a" * 201, "; boundary=ä", '; boundary="a\tb"'])
def test_a_boundary_must_be_there_and_be_one(value):
    with pytest.raises(Invalid):
        read_boundary(f"multipart/form-data{value}")


def test_a_boundary_may_be_quoted():
    assert read_boundary('multipart/form-data; charset=utf-8; boundary="a b:c"') == "a b:c"

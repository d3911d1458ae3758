"""The reader of forms: file fields alone, however the form is cut."""

import pytest

from portal.exceptions import Invalid, StreamBroken
from portal.transfer.forms import FormReader, read_boundary
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
                    seen.append([event.path, event.content_type, event.error.code if event.error else b""])
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
        (b'"C:\\\\fakepath\\\\a.txt"', "a.txt"),
        (b'"' + b"a" * 1024 + b'"', "a" * 1024),
    ],
)
def test_a_good_name_is_the_path(name, path):
    assert read(A + file(name) + Z + END)[0][1][0] == path


@pytest.mark.parametrize(
    "stream",
    [
        START + b"no header\r\n\r\ndata\r\n",
        START + b"Content-Type: text/plain\r\n\r\ndata\r\n",
        START + b"Content-Disposition: attachment; filename=a\r\n\r\ndata\r\n",
        START + b"X-" + b"a" * 100_000 + b": b\r\n\r\ndata\r\n",
        START + b"X: 1\r\n" * 1000 + b"\r\ndata\r\n",
        START + b"Content-Disposition: form-data; filename=\xff\r\n\r\ndata\r\n",
        b"--Bx\r\n",
        file(b"a", b"data", b"Content-Length: 9"),
        file(b"a", b"data", b"Content-Length: -1"),
    ],
)
def test_a_form_that_cannot_be_read_on_is_broken(stream):
    for step in (None, 1):
        found, end = read(A + stream + Z + END, step)
        assert found[0][2] == b"1"
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

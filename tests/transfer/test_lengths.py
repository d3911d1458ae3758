"""The framing of a part's body: only one plain Content-Length is taken, and a refusal changes nothing."""

import pytest

from tests.samples import CHUNK
from tests.transfer.uploads import problem

CHUNKED = "Transfer-Encoding: chunked"
ONE_CHUNK = b"4\r\nabcd\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([], b""),
        ([CHUNKED], ONE_CHUNK),
        ([CHUNKED, "Content-Length: 4"], ONE_CHUNK),
        ([f"Content-Length: {CHUNK}", CHUNKED], ONE_CHUNK),
        (["Transfer-Encoding: gzip, chunked"], ONE_CHUNK),
        (["Transfer-Encoding: CHUNKED"], ONE_CHUNK),
    ],
)
def test_a_body_without_a_length_is_refused_with_411(upload, connect, lines, body):
    assert problem(connect().ask("PUT", upload.target(), *lines, body=body)) == (411, "length_required")
    assert upload.untouched()


@pytest.mark.parametrize("length", "-1 -65536 abc +65536 65536.0 0x10000 65536,65537 1e4 65_536".split())
def test_a_length_that_is_no_number_is_refused(upload, connect, length):
    client = connect()
    answer = client.ask("PUT", upload.target(), f"Content-Length: {length}", body=upload.part())
    assert answer.status == 400
    assert client.closed_by_server()
    assert upload.untouched()


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**64, 10**25, 10**400])
def test_a_length_that_no_machine_holds_is_refused(upload, connect, length):
    answer = connect().ask("PUT", upload.target(), f"Content-Length: {length}", body=b"x")
    assert 400 <= answer.status < 500
    assert upload.untouched()


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK + 1, 2**40, 2**63 - 1])
def test_a_length_that_is_not_the_parts_is_refused_before_its_body(upload, connect, length):
    answer = connect().ask("PUT", upload.target(), f"Content-Length: {length}")
    assert problem(answer) == (400, "wrong_part_size")
    assert upload.untouched()


def test_two_lengths_that_differ_are_refused(upload, connect):
    lines = f"Content-Length: {CHUNK}", f"Content-Length: {CHUNK + 1}"
    client = connect()
    assert client.ask("PUT", upload.target(), *lines, body=upload.part()).status == 400
    assert client.closed_by_server()
    assert upload.untouched()


def test_the_same_length_twice_is_one_length(upload, connect):
    lines = [f"Content-Length: {CHUNK}"] * 2
    assert connect().ask("PUT", upload.target(), *lines, body=upload.part()).status == 200
    assert upload.listing()["received_parts"] == [[1, 1]]


def test_the_session_takes_its_parts_after_all_these(upload, connect):
    for lines in ([], [CHUNKED], ["Content-Length: -1"], ["Content-Length: 7"]):
        connect().ask("PUT", upload.target(), *lines, body=ONE_CHUNK)
    assert upload.finish() == upload.data

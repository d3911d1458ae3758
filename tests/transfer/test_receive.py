"""The rules of a part over HTTP: which status and code each broken rule has, and what an answer holds."""

import base64
import hashlib

import pytest
from blake3 import blake3

from tests.api import expect
from tests.samples import CHUNK, pattern
from tests.transfer.uploads import Upload, problem

OTHER = pattern(CHUNK, seed="other")


def digest_of(data, algorithm="sha-256"):
    """Return a Content-Digest of `data`."""
    value = base64.b64encode(hashlib.new(algorithm.replace("-", ""), data).digest()).decode()
    return f"{algorithm}=:{value}:"


def test_a_part_is_answered_with_number_size_and_digest(upload):
    response = upload.put(3)
    assert response.headers["Content-Type"] == "application/json"
    digest = {"algorithm": "blake3", "value": blake3(upload.part(3)).hexdigest()}
    assert expect(200, response) == {"part_number": 3, "size_bytes": 10, "digest": digest}


def test_a_part_moves_the_session_on(upload):
    expect(200, upload.put(2))
    session = upload.listing()
    assert session["status"] == "IN_PROGRESS"
    assert (session["completed_parts"], session["received_bytes"]) == (1, CHUNK)
    assert (session["received_parts"], session["missing_parts"]) == ([[2, 2]], [[1, 1], [3, 3]])
    assert session["expires_at"] > upload.session["expires_at"]


def test_a_part_sent_twice_counts_once(upload):
    first = expect(200, upload.put())
    before = upload.listing()
    assert expect(200, upload.put()) == first
    assert upload.listing() == before


def test_other_bytes_for_a_recorded_part_are_a_conflict(upload):
    upload.put()
    before = upload.listing()
    assert problem(upload.put(data=OTHER)) == (409, "part_conflict")
    assert upload.listing() == before
    assert upload.finish() == upload.data


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK + 1])
def test_a_part_of_another_size_is_refused(upload, size):
    response = upload.put(1, bytes(size))
    assert problem(response) == (400, "wrong_part_size")
    assert response.json()["expected_size_bytes"] == CHUNK
    assert upload.untouched()


@pytest.mark.parametrize("size", [9, 11, CHUNK])
def test_the_last_part_is_exactly_the_rest(upload, size):
    assert problem(upload.put(3, bytes(size))) == (400, "wrong_part_size")
    assert upload.untouched()


@pytest.mark.parametrize("number", [0, 4, -1, 10**9, 2**31, 2**63, 10**30, "0" * 3, "9" * 5000])
def test_a_number_outside_the_session_is_out_of_range(upload, number):
    assert problem(upload.put(number, upload.part(1))) == (400, "part_out_of_range")
    assert upload.untouched()


def test_leading_zeros_of_a_number_count_for_nothing(upload):
    assert expect(200, upload.put("0" * 40 + "1", upload.part(1)))["part_number"] == 1


def test_an_empty_file_has_no_part_to_send(ann_api):
    upload = Upload(ann_api, size=0)
    assert problem(upload.put(1, b"")) == (400, "part_out_of_range")
    assert upload.finish() == b""


@pytest.mark.parametrize("end", ["abort", "finalize"])
def test_a_session_that_has_ended_takes_no_part(upload, end):
    if end == "abort":
        expect(204, upload.api.delete(upload.path))
    else:
        upload.finish()
    before = upload.listing()
    for number, data in [(1, upload.part(1)), (1, OTHER), (9, OTHER), (1, b"short")]:
        assert problem(upload.put(number, data)) == (409, "session_closed")
    assert upload.listing() == before


@pytest.mark.parametrize("lead", ["", "sha-512=:broken:, ", "unixsum=30637, ", "a;b=1, "])
def test_a_body_that_has_its_digest_is_stored(upload, lead):
    expect(200, upload.put(headers={"Content-Digest": lead + digest_of(upload.part())}))
    assert upload.listing()["received_parts"] == [[1, 1]]


@pytest.mark.parametrize("number", [1, 3])
def test_a_body_that_has_another_digest_changes_nothing(upload, number):
    headers = {"Content-Digest": digest_of(b"other")}
    assert problem(upload.put(number, headers=headers)) == (400, "digest_mismatch")
    assert upload.untouched()
    assert upload.finish() == upload.data


def test_a_digest_is_held_against_a_repetition_too(upload):
    upload.put()
    assert problem(upload.put(headers={"Content-Digest": digest_of(b"other")})) == (400, "digest_mismatch")


@pytest.mark.parametrize(
    "value", ["sha-256=", "sha-256=:", "sha-256=::", "sha-256=:AAAA:", "sha-256=:é:", "sha-256=abc"]
)
def test_a_malformed_digest_is_refused_before_the_body(upload, value):
    headers = {"Content-Digest": value.encode("latin-1")}
    assert problem(upload.put(headers=headers)) == (400, "invalid")
    assert upload.untouched()


@pytest.mark.parametrize("value", ["sha-512=:broken:", "md5=:AAAA:", "sha-256x=:AAAA:", "", ","])
def test_a_digest_of_an_algorithm_that_is_not_known_is_let_be(upload, value):
    expect(200, upload.put(headers={"Content-Digest": value}))


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "nonsense", "text/plain"])
def test_a_content_type_means_nothing_for_a_part(upload, kind):
    expect(200, upload.put(headers={"Content-Type": kind}))
    assert upload.finish() == upload.data

"""Content-Digest with a JSON body: one that does not match changes nothing."""

import base64
import hashlib

import pytest

from tests.api import expect
from tests.views.callers import ALL, make_callers, new_name
from tests.views.shapes import problem

BODY = b'{"name": "with a digest"}'


@pytest.fixture(scope="module")
def carol(portal_server):
    """Somebody without a batch."""
    return make_callers(portal_server, carol=(new_name(), ALL, "active"))["carol"]


def sha256_digest(body):
    """Return the header's value for `body` (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def send(api, digest, path="/batches", body=BODY):
    """POST the body with this Content-Digest."""
    return api.call("POST", path, data=body, headers={"Content-Digest": digest, "Content-Type": "application/json"})


def test_a_body_with_its_digest_is_taken(ann_api):
    assert expect(201, send(ann_api, sha256_digest(BODY)))["name"] == "with a digest"
    expect(201, send(ann_api, f"sha-512=:AAAA:, {sha256_digest(BODY)}"))


def test_a_body_without_its_digest_is_400_and_makes_nothing(carol):
    problem(send(carol, sha256_digest(BODY + b" ")), 400, "digest_mismatch")
    problem(send(carol, f"sha-512=:AAAA:, {sha256_digest(b'')}"), 400, "digest_mismatch")
    assert expect(200, carol.get("/batches"))["results"] == []


def test_the_digest_of_an_empty_body_holds_too(ann_api):
    session = ann_api.open_session(0)
    path = f"/uploads/sessions/{session['session_id']}/finalize"
    problem(send(ann_api, sha256_digest(b"x"), path, b""), 400, "digest_mismatch")
    assert expect(200, send(ann_api, sha256_digest(b""), path, b""))["status"] == "STORED"


@pytest.mark.parametrize(
    "digest", ["sha-256=:AAAA:", "sha-256=::", "sha-256=", "sha-256=abc", "sha-256=:\xff:", "SHA-256=:=:"]
)
def test_a_digest_that_cannot_be_read_is_400(ann_api, digest):
    problem(send(ann_api, digest.encode("latin-1")), 400, "invalid")


@pytest.mark.parametrize("digest", ["md5=:AAAA:", "sha-512=:AAAA:", "nonsense", ","])
def test_a_digest_of_another_kind_is_left_alone(ann_api, digest):
    expect(201, send(ann_api, digest))

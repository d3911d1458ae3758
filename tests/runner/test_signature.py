"""Signatures: somebody else's code verifies them, with either of two secrets, in every form that a secret has."""

import base64
import hashlib
import hmac
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from portal.runner.signature import read_keys, sign
from tests.receiver import SECRET

OTHER = "whsec_YW5vdGhlciBzZWNyZXQgZm9yIHRlc3RzIG9ubHkgaGVyZSE="


def headers(secrets, body=b'{"a": 1}'):
    """Return the headers of a message that was signed with these secrets just now."""
    now = int(time.time())
    text = sign(read_keys(secrets), event_id="e", timestamp=now, body=body)
    return {"webhook-id": "e", "webhook-timestamp": str(now), "webhook-signature": text}


def test_either_of_two_live_secrets_verifies():
    both = headers(f"{SECRET} {OTHER}")
    assert len(both["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(b'{"a": 1}', both)


def test_another_secret_another_body_and_another_id_do_not_verify():
    signed = headers(SECRET)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(b'{"a": 1}', signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"a": 2}', signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"a": 1}', signed | {"webhook-id": "f"})


@pytest.mark.parametrize(
    "secret", ["dGhpcyBpcyBhIHNlY3JldA==", "dGhpcyBpcyBhIHNlY3JldA", "runner-secret", "topsecret1"]
)
def test_a_secret_without_its_beginning_is_base64_or_a_text(secret):
    signed = headers(secret)
    Webhook(secret).verify(b'{"a": 1}', signed)
    plain = hmac.digest(secret.encode(), f"e.{signed['webhook-timestamp']}.".encode() + b'{"a": 1}', hashlib.sha256)
    assert f"v1,{base64.b64encode(plain).decode()}" in signed["webhook-signature"].split(" ")


@pytest.mark.parametrize("secret", ["x", "ümlaut"])
def test_a_secret_that_is_no_base64_is_a_text(secret):
    assert read_keys(secret) == (secret.encode(),)


def test_a_secret_that_says_what_it_is_makes_one_key():
    assert read_keys(SECRET) == (base64.b64decode(SECRET[6:]),)
    assert read_keys("") == ()

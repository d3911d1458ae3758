"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 over id, time and body, one for each live secret."""

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def read_keys(secrets):
    """Return the keys of the secrets in a text, parted by blanks: the new one, and the old one while it lives.

    A secret is `whsec_` and base64. Without that beginning it may be base64 or any other text: receivers differ in
    what they take for the key then, so both are keys.
    """
    return tuple(key for secret in secrets.split() for key in _keys_of(secret))


def _keys_of(secret):
    text = secret.removeprefix(PREFIX)
    try:
        # Padding may be left out; more than enough does no harm.
        decoded = base64.b64decode(text + "==")
    except ValueError:
        decoded = b""
    raw = [secret.encode()] if text == secret else []
    return [key for key in (decoded, *raw) if key]


def sign(keys, *, event_id, timestamp, body):
    """Return the text of `webhook-signature`; `timestamp` is in whole seconds since 1970."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in keys)

"""What PostgreSQL keeps of the password of a server of the tests: of one round, so that a connection costs little."""

import base64
import hashlib
import hmac
import secrets


def verifier_of(password):
    """Return the verifier (RFC 5802) that PostgreSQL takes in the place of `password`, which is ASCII.

    Its own have 4,096 rounds, 4 ms of each client's CPU, to guard what can be guessed: not 16 bytes of chance.
    """
    salt, rounds = secrets.token_bytes(16), 1
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored, server = (base64.b64encode(data).decode("ascii") for data in (salt, stored, server))
    return f"SCRAM-SHA-256${rounds}:{salt}${stored}:{server}"

"""What the clients of the walk send, and what may be wrong with it."""

from tests.samples import pattern
from tests.stateful.model import CHUNK, digest_of

#: By names that a report can show; two of one size, some of several parts.
CONTENTS = {
    "nothing": b"",
    "one": b"one",
    "two": b"two",
    "long": pattern(CHUNK + 10, 1),
    "as long": pattern(CHUNK + 10, 2),
    "two chunks": pattern(2 * CHUNK, 3),
}
#: Of the right size, and not what anybody means.
OTHER_BYTES = "other bytes"
NO_DIGEST = "Content-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


def digest_for(data, how):
    """Return the digest that is told of `data`: none, its own, or that of nothing else here."""
    return {None: "", "right": digest_of(data), "wrong": "0" * 64}[how]


def harmed(harm):
    """Return the headers and options that spoil a body."""
    return ([NO_DIGEST] if harm == "digest_mismatch" else []), {"cut": harm == "incomplete_body"}

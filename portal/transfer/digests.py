"""The digests of its body that a request may carry, as bytes."""

from portal.content_digest import read_sha256

#: There is one representation of what is sent here, so both mean the same.
DIGESTS = {b"content-digest": "Content-Digest", b"repr-digest": "Repr-Digest"}


def read_digests(exchange):
    """Return each SHA-256 (bytes) that the headers say the body has; raises Invalid if one is malformed."""
    sha256s = [read_sha256(exchange.text(header), name) for header, name in DIGESTS.items()]
    return [sha256 for sha256 in sha256s if sha256]

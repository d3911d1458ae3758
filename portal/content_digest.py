"""Content-Digest and Repr-Digest (RFC 9530): what a client says of the body that it sends; read alike at both doors."""

import base64
import re

from portal.exceptions import Invalid

_SHA256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*([^,;]*)", re.IGNORECASE)


def read_sha256(header, name="Content-Digest"):
    """Return the 32 bytes of the header's sha-256 member, None when it has none; raises Invalid if it is malformed."""
    found = _SHA256.search(header or "")
    if found is None:
        return None
    value = found[1].strip()
    try:
        digest = base64.b64decode(value[1:-1], validate=True)
    except ValueError:  # no base64, or not even ASCII
        digest = b""
    if len(digest) != 32 or value[0] != ":" or value[-1] != ":":
        raise Invalid(f"{name}: write sha-256=:<base64 of 32 bytes>: (RFC 9530).")
    return digest

"""The manifest of a batch, `<sha256>  <path>` in lines as coreutils writes and reads them."""

import hashlib
from collections.abc import Iterator, Mapping

from portal_client.errors import Corrupt

ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
TABLE = str.maketrans(ESCAPES)
UNESCAPES = {text[1]: character for character, text in ESCAPES.items()}


def write_manifest(digests: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the lines of files given as path and SHA-256, bytewise by path."""
    for name in sorted(digests, key=str.encode):
        escaped = name.translate(TABLE)
        yield f"{'' if escaped == name else chr(92)}{digests[name]}  {escaped}\n".encode()


def digest_manifest(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of the manifest, which the portal's receipt names too."""
    found = hashlib.sha256()
    for line in write_manifest(digests):
        found.update(line)
    return found.hexdigest()


def read_manifest(data: bytes) -> dict[str, str]:
    """Return path and SHA-256 of each line; raises Corrupt for what is no manifest."""
    found = {}
    for line in data.decode().split("\n")[:-1]:
        escaped = line.startswith("\\")
        sha256, gap, name = line.removeprefix("\\").partition("  ")
        if len(sha256) != 64 or not gap or not name:
            raise Corrupt("The receipt is no manifest.")
        found[_unescape(name) if escaped else name] = sha256
    return found


def _unescape(name: str) -> str:
    characters = iter(name)
    return "".join(
        UNESCAPES.get(next(characters, ""), "") if character == "\\" else character for character in characters
    )

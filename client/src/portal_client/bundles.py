"""Small files in bundles: a tar in one request instead of a request each, with a result for every one of them."""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from portal_client.bodies import Bytes, read_whole
from portal_client.errors import ApiError, InsufficientScope, SourceFailed
from portal_client.sources import Failure, Source

if TYPE_CHECKING:
    from portal_client.sending import Sender

#: Files up to this size are bundled; a bundle is held in memory, and sent again as a whole when the line drops.
BUNDLED_BYTES = 128 * 2**10
BUNDLE_BYTES, BUNDLE_FILES = 2**20, 100
#: How a portal says that it knows no bundles.
UNKNOWN = (404, 405, 415)


def make_bundles(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Yield `sources` in bundles, in order; one that is too large for that is a bundle of its own."""
    bundle: list[Source] = []
    size = 0
    for source in sources:
        if source.size > BUNDLED_BYTES:
            yield [source]
            continue
        if bundle and (size + source.size > BUNDLE_BYTES or len(bundle) == BUNDLE_FILES):
            yield bundle
            bundle, size = [], 0
        bundle.append(source)
        size += source.size
    if bundle:
        yield bundle


def write_member(path: str, data: bytes) -> bytes:
    """Return one member of a tar archive (pax)."""
    header = tarfile.TarInfo(path)
    header.size = len(data)
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict") + data + bytes(-len(data) % tarfile.BLOCKSIZE)


class Archive(Bytes):
    """A tar archive in memory; it takes no digest, since its members are stored before all of it has come."""

    def __init__(self, members: list[bytes]) -> None:
        super().__init__(b"".join([*members, bytes(2 * tarfile.BLOCKSIZE)]))

    def digest(self) -> str:
        """Return nothing: none is sent."""
        return ""


def send_bundle(sender: "Sender", sources: list[Source]) -> None:
    """Send files in one request, as a job; whatever the portal does not take that way is sent by itself."""
    if len(sources) == 1 or not sender.bundles:
        sender.crew.put_first([partial(sender.send_small, source) for source in sources])
        return
    assert sender.batch_id is not None  # noqa: S101 - bundles go into a batch
    kept, members = _read(sender, sources)
    try:
        results = sender.api.put_bundle(sender.batch_id, Archive(members))
    except ApiError as error:
        if error.fatal:
            raise
        # One by one, each has an answer of its own.
        results = []
        if error.status in UNKNOWN:
            sender.bundles = False
    by_path = {result.get("path"): result for result in results}
    alone = [source for source, sha256 in kept if not _take(sender, source, sha256, by_path.get(source.path))]
    sender.crew.put_first([partial(sender.send_small, source) for source in alone])


def _read(sender: "Sender", sources: list[Source]) -> tuple[list[tuple[Source, str]], list[bytes]]:
    """Return what can be read, with its SHA-256, and the members of the archive."""
    kept, members = [], []
    for source in sources:
        try:
            data = read_whole(source.file, source.stamp)
        except SourceFailed as error:
            sender.failed(Failure(source.path, error.code, error.detail))
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        sender.digests.remember(source, sha256)
        kept.append((source, sha256))
        members.append(write_member(source.path, data))
    return kept, members


def _take(sender: "Sender", source: Source, sha256: str, result: dict[str, Any] | None) -> bool:
    """Note a file that is stored; False when it is not, or with other bytes than were sent, which are removed.

    To remove them takes the scope `delete`; without it, the file has failed.
    """
    if not result or result.get("status") != "STORED":
        return False
    if result.get("sha256") != sha256:
        try:
            sender.api.delete_file(result.get("file_id", ""))
        except InsufficientScope:
            detail = "The portal stored other bytes than were sent, and this token may not delete them."
            sender.failed(Failure(source.path, "corrupt", detail))
            return True
        return False
    sender.tell(source, source.size)
    sender.stored(source, sha256)
    return True

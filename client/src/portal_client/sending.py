"""How the files of one run are sent: small ones in one request each, large ones in parts by all hands."""

import hashlib
import threading
from collections.abc import Callable
from functools import partial

from portal_client.api import Api
from portal_client.bodies import Bytes, read_whole
from portal_client.bundles import send_bundle
from portal_client.crew import Crew
from portal_client.digests import Digests
from portal_client.errors import ApiError, SourceFailed
from portal_client.members import File
from portal_client.parted import PartedUpload
from portal_client.plans import differs
from portal_client.progress import Progress
from portal_client.sources import Failure, Source


class Sender:
    """Sends files into one batch, or into none; every method but `failed` and `stored` is work for the crew's jobs.

    `digests_sent` has path and SHA-256 of what is stored, `failures` what is not, `waiting` the uploads whose last
    step goes on at the portal.
    """

    def __init__(self, api: Api, batch_id: str | None, *, crew: Crew, digests: Digests, progress: Progress) -> None:
        self.api, self.batch_id, self.crew, self.digests, self.progress = api, batch_id, crew, digests, progress
        self.digests_sent: dict[str, str] = {}
        self.failures: list[Failure] = []
        #: The file of the upload in parts that ended last.
        self.last: File | None = None
        self.waiting: list[PartedUpload] = []
        self.sent_bytes = self.sent_files = self.known_files = 0
        #: Whether parts go past the portal; found out with the first one.
        self.presigns = True
        #: Whether the portal takes many files in one request; found out likewise.
        self.bundles = True
        self._lock = threading.Lock()

    def guard(self, source: Source, work: Callable[[], None]) -> None:
        """Do a step of one file's upload; what fails this file alone is noted, the rest is raised."""
        try:
            work()
        except SourceFailed as error:
            self.failed(Failure(source.path, error.code, error.detail))
        except ApiError as error:
            if error.fatal:
                raise
            self.failed(Failure(source.path, error.code, error.detail))

    def compare(self, source: Source, file: File) -> None:
        """See whether a stored file has the local one's bytes."""
        self.guard(source, lambda: self._compare(source, file))

    def _compare(self, source: Source, file: File) -> None:
        if self.digests.reckon(source) == file.sha256:
            self.stored(source, file.sha256 or "", sent=False)
        else:
            self.failed(differs(source))

    def send_small(self, source: Source) -> None:
        """Send a file in one request, from memory."""
        self.guard(source, lambda: self._send_small(source))

    def _send_small(self, source: Source) -> None:
        assert self.batch_id is not None  # noqa: S101 - a file without a batch goes in parts
        self.progress.start(source.path, source.size)
        data = read_whole(source.file, source.stamp)
        sha256 = hashlib.sha256(data)
        body = Bytes(data, sha256.digest())
        self.api.put_file(self.batch_id, source.path, body, sent=partial(self.tell, source))
        self.digests.remember(source, sha256.hexdigest())
        self.stored(source, sha256.hexdigest())

    def send_bundle(self, sources: list[Source]) -> None:
        """Send small files together."""
        send_bundle(self, sources)

    def send_large(self, source: Source, known: File | None = None) -> None:
        """Send a file in parts, going on with what `known` says is on its way."""
        self.guard(source, lambda: PartedUpload(self, source).begin(known))

    def tell(self, source: Source, size: int) -> None:
        """Bytes of a file went out."""
        with self._lock:
            self.sent_bytes += size
        self.progress.advance(source.path, size)

    def stored(self, source: Source, sha256: str, *, sent: bool = True, known: bool = False) -> None:
        """One file is stored; `known` by its digest, it was not sent for that."""
        with self._lock:
            self.digests_sent[source.path] = sha256
            self.sent_files += sent
            self.known_files += known
        self.progress.finish(source.path)

    def failed(self, failure: Failure) -> None:
        """One file is not."""
        with self._lock:
            self.failures.append(failure)
        self.progress.finish(failure.path, failure)

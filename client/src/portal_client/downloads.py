"""The stored files of a batch into a folder: each checked by its SHA-256, gone on with where it broke off."""

import errno
import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from urllib3.exceptions import HTTPError, ProtocolError

from portal_client.api import Api
from portal_client.bodies import BLOCK_BYTES
from portal_client.crew import Crew, Job
from portal_client.digests import Digests
from portal_client.errors import ApiError, Corrupt, PortalError, Stopped, Unreachable
from portal_client.landing import Part, find_stamp, make_place
from portal_client.members import Batch, File, is_id
from portal_client.progress import Progress
from portal_client.sources import Failure, Source

#: What keeps every file from being written, not one alone.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass
class DownloadReport:
    """What became of a batch's files; sizes are bytes."""

    batch: Batch
    files: int = 0
    fetched: int = 0
    already: int = 0
    fetched_bytes: int = 0
    #: Files of the batch that are not stored: not yet (or only since the run began), and never.
    pending: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every file of the batch is here."""
        return not (self.pending or self.failed or self.failures)


class Download:
    """One run into the folder `into`; a file that is there with the same bytes is left, with others never touched."""

    def __init__(self, api: Api, batch: Batch, into: Path, *, digests: Digests, progress: Progress) -> None:
        self.api, self.into, self.digests, self.progress = api, into, digests, progress
        self.report = DownloadReport(batch)
        self._lock = threading.Lock()

    def run(self, parallel: int) -> DownloadReport:
        """Fetch what is not there yet."""
        try:
            self.into.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PortalError(f"No folder can be made at {self.into}: {error.strerror}.") from error
        self.progress.begin(self.report.batch.stored_count, self.report.batch.stored_bytes)
        try:
            Crew(parallel, self.api.transport.stop).run(self._jobs())
        finally:
            self.digests.save()
        self._count_the_others()
        self.report.failures.sort(key=lambda failure: failure.path)
        return self.report

    def _count_the_others(self) -> None:
        batch = self.report.batch = self.api.batch(self.report.batch.id)
        self.report.failed = batch.failed_count
        self.report.pending = max(0, batch.total_files - batch.failed_count - self.report.files)

    def _jobs(self) -> Iterator[Job]:
        for file in self.api.files(self.report.batch.id, status="STORED"):
            self.report.files += 1
            yield partial(self._guard, file)

    def _guard(self, file: File) -> None:
        name, failure = file.listed_as, None
        try:
            self.progress.start(name, file.size_bytes)
            # It becomes part of a local name, and of an address.
            if not is_id(str(file.id)):
                raise Corrupt("The portal gives it an id that is none.")
            self._fetch(file, make_place(self.into, name))
        except (Stopped, Unreachable):
            raise
        except OSError as error:
            if error.errno in FULL:
                raise PortalError(f"{self.into} takes no more: {error.strerror}.") from error
            failure = Failure(name, "unwritable", error.strerror or str(error))
        except (PortalError, ValueError) as error:
            if isinstance(error, ApiError) and error.fatal:
                raise
            failure = Failure(name, getattr(error, "code", type(error).__name__.lower()), str(error))
        if failure:
            with self._lock:
                self.report.failures.append(failure)
        self.progress.finish(name, failure)

    def _fetch(self, file: File, place: Path) -> None:
        # A run that broke off has left it; its name is short.
        part = Part(place.parent / f".portal-{file.id}.part")
        if self._is_there(file, place):
            return part.clear()
        try:
            self._fetch_into(part, file, place)
        except BlockingIOError:
            # Another has it, or has just been done with it.
            if not self._is_there(file, place):
                raise

    def _fetch_into(self, part: Part, file: File, place: Path) -> None:
        with part:
            try:
                # What is on disk counts too: where there are no locks, another may have written to it.
                if self._receive(file, part.opened) != file.sha256 or part.size() != file.size_bytes:
                    raise Corrupt("The bytes that came are not those that were stored; run it again.")
            except Corrupt:
                part.remove()
                raise
            try:
                part.become(place)
            except FileExistsError:
                # It came there meanwhile, by another run as a rule.
                if not self._is_there(file, place):
                    raise
                part.remove()
                return
        with self._lock:
            self.report.fetched += 1

    def _is_there(self, file: File, place: Path) -> bool:
        """Whether the very file is there; raises Corrupt when something else is."""
        stamp = find_stamp(place)
        if stamp is None:
            return False
        source = Source(file.listed_as, str(place.absolute()), stamp)
        self.digests.load([source])
        if self.digests.reckon(source) != file.sha256:
            raise Corrupt("Another file is there under this name; it was left as it is.")
        with self._lock:
            self.report.already += 1
        return True

    def _receive(self, file: File, opened: BinaryIO) -> str:
        """Append what is missing of a file; return the SHA-256 of all of it."""
        digest, have = hashlib.sha256(), 0
        opened.seek(0)
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
            have += len(block)
        tries = self.api.transport.tries()
        while have < file.size_bytes:
            try:
                for block in self._blocks(file, have):
                    opened.write(block)
                    digest.update(block)
                    have += len(block)
                    tries = self.api.transport.tries()  # it goes on: patience begins anew
            except ApiError as error:
                if not error.passing:
                    raise
                tries.pause(error)
            except HTTPError as error:
                tries.pause(error)
        return digest.hexdigest()

    def _blocks(self, file: File, have: int) -> Iterator[bytes]:
        """Yield what one answer has of what is missing; raises ProtocolError unless that is all, Corrupt on more."""
        headers, left = {"Range": f"bytes={have}-"} if have else {}, file.size_bytes - have
        with closing(self.api.transport.open(f"/files/{file.id}/content", headers)) as response:
            skip = have if response.status == 200 else 0
            for block in response.stream(BLOCK_BYTES, decode_content=False):
                if self.api.transport.stop.is_set():
                    raise Stopped("The work was called off.")
                kept, skip = block[skip:], max(0, skip - len(block))
                left -= len(kept)
                if left < 0:
                    raise Corrupt(f"More came than its {file.size_bytes:,} bytes.")
                if kept:
                    with self._lock:
                        self.report.fetched_bytes += len(kept)
                    self.progress.advance(file.listed_as, len(kept))
                    yield kept
            response.release_conn()
        if left:
            raise ProtocolError(f"The answer ended {left:,} bytes early.")

"""The stored files of a batch into a folder: each checked by its SHA-256, gone on with where it broke off."""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from urllib3.exceptions import HTTPError

from portal_client.api import Api
from portal_client.bodies import BLOCK_BYTES
from portal_client.crew import Crew, Job
from portal_client.digests import Digests
from portal_client.errors import ApiError, Corrupt, PortalError, Stopped, Unreachable
from portal_client.members import Batch, File
from portal_client.progress import Progress
from portal_client.sources import Failure, find_fault, find_sources

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
    failures: list[Failure] = field(default_factory=list)


class Download:
    """One run into the folder `into`; a file that is there with the same bytes is left, with others never touched."""

    def __init__(self, api: Api, batch: Batch, into: Path, *, digests: Digests, progress: Progress) -> None:
        self.api, self.into, self.digests, self.progress = api, into, digests, progress
        self.report = DownloadReport(batch)
        self._lock = threading.Lock()

    def run(self, parallel: int) -> DownloadReport:
        """Fetch what is not there yet."""
        self.into.mkdir(parents=True, exist_ok=True)
        self.progress.begin(self.report.batch.stored_count, self.report.batch.stored_bytes)
        try:
            Crew(parallel, self.api.transport.stop).run(self._jobs())
        finally:
            self.digests.save()
        self.report.failures.sort(key=lambda failure: failure.path)
        return self.report

    def _jobs(self) -> Iterator[Job]:
        for file in self.api.files(self.report.batch.id, status="STORED"):
            self.report.files += 1
            yield partial(self._guard, file)

    def _guard(self, file: File) -> None:
        name, failure = file.listed_as, None
        try:
            self.progress.start(name, file.size_bytes)
            self._fetch(file, self._place(name))
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

    def _place(self, name: str) -> Path:
        """Return where a file goes, inside the folder whatever the portal says."""
        wrong = find_fault(name)
        if wrong:
            raise Corrupt(wrong)
        place = self.into / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.parent.resolve().is_relative_to(self.into.resolve()):
            raise Corrupt("A link leads out of the folder.")
        return place

    def _fetch(self, file: File, place: Path) -> None:
        if place.exists():
            (source,) = find_sources([place]).sources
            self.digests.load([source])
            if self.digests.reckon(source) != file.sha256:
                raise Corrupt("Another file is there under this name; it was left as it is.")
            with self._lock:
                self.report.already += 1
            return
        # A run that broke off has left it; its name is short, and nobody else's.
        part = place.parent / f".portal-{file.id}.part"
        with part.open("a+b") as opened:
            found = self._receive(file, opened)
        if found != file.sha256:
            part.unlink()
            raise Corrupt("The bytes that came are not those that were stored; run it again.")
        os.link(part, place)
        part.unlink()
        with self._lock:
            self.report.fetched += 1

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
        headers = {"Range": f"bytes={have}-"} if have else {}
        with closing(self.api.transport.open(f"/files/{file.id}/content", headers)) as response:
            skip = have if response.status == 200 else 0
            for block in response.stream(BLOCK_BYTES, decode_content=False):
                if self.api.transport.stop.is_set():
                    raise Stopped("The work was called off.")
                kept, skip = block[skip:], max(0, skip - len(block))
                if kept:
                    with self._lock:
                        self.report.fetched_bytes += len(kept)
                    self.progress.advance(file.listed_as, len(kept))
                    yield kept
            response.release_conn()

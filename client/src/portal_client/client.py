"""`PortalClient`: the calls of the portal, and the jobs that people have."""

import os
from contextlib import suppress
from pathlib import Path

from portal_client.api import Api
from portal_client.crew import Crew
from portal_client.digests import Digests, cache_folder
from portal_client.downloads import Download, DownloadReport
from portal_client.errors import NotFound, PortalError, SessionClosed
from portal_client.folders import FolderUpload, UploadReport, wait_for
from portal_client.members import Batch, File
from portal_client.progress import Progress
from portal_client.sending import Sender
from portal_client.sources import Paths, find_sources
from portal_client.transport import Transport
from portal_client.verifying import VerifyReport, verify_folder

PARALLEL, PATIENCE_SECONDS = 8, 300.0


class PortalClient(Api):
    """One portal, by its address and a token with the scopes `upload` and `read`.

    `parallel` requests are under way at once at most; each is tried again for `patience` seconds when the line drops,
    the portal is restarted or asks for a pause. `cache` is the file that digests of local files are remembered in:
    by default one in the user's cache folder, False for none. May be used by many threads.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        parallel: int = PARALLEL,
        patience: float = PATIENCE_SECONDS,
        cache: str | os.PathLike[str] | bool = True,
    ) -> None:
        # One more than the crew has hands, for whoever looks on.
        super().__init__(Transport(url, token, connections=parallel + 1, patience=patience))
        self.parallel = parallel
        if cache is True:
            self.cache: Path | None = cache_folder() / "digests.sqlite3"
        else:
            self.cache = None if cache is False else Path(cache)

    def upload_folder(
        self,
        path: str | os.PathLike[str] | Paths,
        batch: str,
        *,
        parallel: int | None = None,
        seal: bool = True,
        dry_run: bool = False,
        follow_links: bool = False,
        progress: Progress | None = None,
    ) -> UploadReport:
        """Hand a folder over to the batch of this name or id, made if need be; return what became of each file.

        Sends only what the batch does not have, so that it can be run again at any time. A file that cannot be taken
        is in `failures` and holds up no other. When all is stored, the batch is sealed (unless `seal` is False) and
        the report has its receipt, which names these files and those in `extra`, which the batch held before.
        `dry_run` looks and sends nothing. Raises Unreachable, NotAuthenticated, BatchSealed and the like for what no
        file survives.
        """
        upload = self.prepare(parallel=parallel, progress=progress)
        paths = [path] if isinstance(path, str | os.PathLike) else path
        upload.look(paths, batch, follow_links=follow_links)
        return upload.compare() if dry_run else upload.send(batch, seal=seal)

    def prepare(self, *, parallel: int | None = None, progress: Progress | None = None) -> FolderUpload:
        """Return a run over folders, for who wants to look before it sends."""
        return FolderUpload(
            self, parallel=parallel or self.parallel, digests=Digests(self.cache), progress=progress or Progress()
        )

    def upload_file(
        self, path: str | os.PathLike[str], batch: str | None = None, *, progress: Progress | None = None
    ) -> File:
        """Store one file, in the batch of this name or id if one is given, and return it; raises what prevents it."""
        sources = [] if Path(path).is_dir() else find_sources([path]).sources
        if len(sources) != 1:
            raise PortalError(f"{path} is not a file that can be taken.")
        source = sources[0]
        batch_id = self.open_batch(batch).id if batch else None
        digests, crew = Digests(self.cache), Crew(self.parallel, self.transport.stop)
        digests.load([source])
        sender = Sender(self, batch_id, crew=crew, digests=digests, progress=progress or Progress())
        known = self.file_at(batch_id, source.path) if batch_id else None
        crew.run([lambda: sender.send_large(source, known)])
        wait_for(sender, crew)
        digests.save()
        if sender.failures:
            raise PortalError(f"{sender.failures[0].detail} ({sender.failures[0].code})")
        assert sender.last is not None  # noqa: S101 - it has not failed
        return sender.last

    def verify_folder(
        self,
        path: str | os.PathLike[str] | Paths,
        batch: str,
        *,
        follow_links: bool = False,
        progress: Progress | None = None,
    ) -> VerifyReport:
        """Compare a folder with the receipt of the batch of this name or id; every byte is read."""
        paths = [path] if isinstance(path, str | os.PathLike) else path
        batch_id = self.known_batch(batch).id
        return verify_folder(
            self,
            batch_id,
            paths,
            parallel=self.parallel,
            progress=progress or Progress(),
            follow_links=follow_links,
        )

    def download_batch(
        self, batch: str, into: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> DownloadReport:
        """Fetch the stored files of the batch of this name or id into a folder, each checked by its SHA-256.

        What is there already is not fetched again; a file with other bytes is never touched, but told in `failures`.
        `pending` and `failed` count what the batch has not stored; `complete` is whether all of it is here.
        """
        download = Download(
            self,
            self.known_batch(batch),
            Path(into),
            digests=Digests(self.cache),
            progress=progress or Progress(),
        )
        return download.run(self.parallel)

    def give_up(self, batch: str) -> int:
        """End what is on its way in the batch of this name or id, remove what was only declared; return how many.

        To remove takes the scope `delete`.
        """
        batch_id, ended = self.known_batch(batch).id, 0
        # First what takes a scope of its own: who lacks it has ended nothing. What is gone, somebody else has ended.
        for file in list(self.files(batch_id, status="EXPECTED")):
            with suppress(NotFound):
                self.delete_file(file.id)
                ended += 1
        for file in list(self.files(batch_id, status="UPLOADING")):
            # All of a closed one has come: it is being checked, or has ended meanwhile.
            with suppress(NotFound, SessionClosed):
                self.abort(file.session_id or "")
                ended += 1
        return ended

    def known_batch(self, name_or_id: str) -> Batch:
        """Return the batch of this name or id; raises PortalError when there is none."""
        if not name_or_id:
            raise PortalError("The name or the id of a batch is wanted; this one is empty.")
        batch = self.find_batch(name_or_id)
        if batch is None:
            raise PortalError(f"There is no batch {name_or_id!r}.")
        return batch

    def stop(self) -> None:
        """Call off what is under way; what has been stored stays, and running it again goes on."""
        self.transport.stop.set()

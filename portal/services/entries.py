"""What is declared: an entry, and what is wanted on its path."""

from dataclasses import dataclass
from uuid import UUID

from portal.exceptions import PathTaken, PortalError
from portal.models import IngestFile, UploadSession
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.services.batches import TO_JOIN, TO_REOPEN, refuse_closed, refuse_full_batch
from portal.services.limits import choose_chunk_size
from portal.services.paths import OPEN_TO

Status = IngestFile.Status


@dataclass
class Entry:
    """A file that is declared; `size` in bytes. Afterwards it has an `action`, or the `error` that rejected it."""

    path: str | None
    size: int = 0
    sha256: str = ""
    content_type: str = DEFAULT_CONTENT_TYPE
    error: PortalError | None = None
    action: str = ""
    file_id: UUID | None = None
    #: What it is uploaded by, if that is open.
    session: UploadSession | None = None

    @property
    def pending(self):
        """Whether it has neither an action nor an error yet."""
        return self.error is None and not self.action


@dataclass
class Wanted:
    """What is wanted on one path: by the first `entry` that names it, with the digest of whichever told one."""

    entry: Entry
    file: IngestFile | None
    session: UploadSession | None
    sha256: str = ""

    def decide(self, batch, *, joining):
        """Raise what keeps the entry from being declared: the file on its path, its size, the batch, or its quota.

        `joining` are the files of the same call that join the batch before it.
        """
        if self.file is None or self.file.status == Status.FAILED:
            choose_chunk_size(self.entry.size)
            refuse_closed(batch, TO_REOPEN if self.file else TO_JOIN)
            if self.file is None:
                refuse_full_batch(batch, joining=joining)
        elif not self.file.is_declared_as(self.entry.size, self.entry.sha256):
            raise PathTaken("This path has a file of another size or SHA-256.")
        elif self.file.status == Status.EXPECTED:
            refuse_closed(batch, OPEN_TO[self.file.status])
        self.sha256 = self.entry.sha256

    def decide_repeated(self, entry):
        """Raise what keeps `entry`, which names the same path once more, from being declared."""
        if self.entry.error:
            raise self.entry.error
        kept = self.file is not None and self.file.status != Status.FAILED
        if kept and not self.file.is_declared_as(entry.size, entry.sha256):
            raise PathTaken("This path has a file of another size or SHA-256.")
        if entry.size != self.entry.size or (entry.sha256 and self.sha256 and entry.sha256 != self.sha256):
            raise PathTaken("This path was declared before with another size or SHA-256.")
        self.sha256 = self.sha256 or entry.sha256

    @property
    def tells_digest(self):
        """Whether the file on the path, whose bytes may still be any, learns its digest now."""
        if not self.sha256 or self.file is None or self.file.declared_sha256:
            return False
        # What is being finalized is hashed already; whoever declares it once more is told whether it is the same.
        going_on = self.file.status == Status.UPLOADING and self.session.status in UploadSession.OPEN
        return going_on or self.file.status == Status.EXPECTED

    def describe(self):
        """Return the members of the file as it is declared."""
        return {
            "original_filename": self.entry.path.rpartition("/")[2][-255:],
            "content_type": self.entry.content_type,
            "size_bytes": self.entry.size,
            "declared_sha256": self.sha256,
        }

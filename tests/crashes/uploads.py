"""What the clients know for certain: each upload with all that was acknowledged, and all that was only tried."""

import hashlib
import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field

from blake3 import blake3

from tests.crashes.line import TRY_AGAIN

KIB, MIB = 2**10, 2**20
#: The smallest chunk that there is, for many parts of few bytes, and a larger one for files that the worker finalizes.
CHUNK, HEAVY_CHUNK = 64 * KIB, MIB
#: A little more than what is always finalized at once.
HEAVY_BYTES = 8 * MIB
#: Bytes that must never be on record: sent where others are, or broken off in the middle.
STRAY = 9
FAULTS_KEPT = 50
#: Shorter parts could be the same bytes in two versions.
LEAST = 64


@dataclass(eq=False)
class Upload:
    """One file on its way, from one client; `version` tells apart the bytes that were tried for the same part."""

    name: str
    size: int
    chunk: int
    batch_id: str | None = None
    #: The SHA-256 is declared, and so no other version is ever tried; `lies` declares a wrong one.
    firm: bool = False
    lies: bool = False
    #: The upload whose FAILED file this one opens again, on the same path.
    replaces: "Upload | None" = None
    session_id: str | None = None
    file_id: str | None = None
    #: Part number -> version that a 2xx or a listing has vouched for; -> versions that were sent.
    acknowledged: dict = field(default_factory=dict)
    tried: dict = field(default_factory=dict)
    #: How it ended (STORED, FAILED, ABORTED, EXPIRED), once acknowledged; `finalizing` after a 202.
    ended: str | None = None
    finalizing: bool = False
    deleted: bool = False
    replaced: bool = False
    #: Its lifetime was let run out.
    left_alone: bool = False
    #: Set before the request goes out, so that whoever judges never takes an unknown outcome for a wrong one.
    finalize_sent: bool = False
    abort_sent: bool = False
    delete_sent: bool = False
    #: The SHA-256 with which it was acknowledged as STORED.
    stored_sha256: str = ""
    #: An answer was lost, or two requests raced: ask before going on.
    unsure: bool = False

    @property
    def path(self):
        """The path inside its batch; an upload that replaces another has the other's."""
        return self.replaces.path if self.replaces else f"{self.name}.bin"

    @property
    def total_parts(self):
        """How many parts the file has."""
        return -(-self.size // self.chunk)

    @property
    def missing(self):
        """The numbers of the parts that nothing vouches for."""
        return [number for number in range(1, self.total_parts + 1) if number not in self.acknowledged]

    def data(self, number, version):
        """Return the bytes of a part in one of its versions."""
        size = min(self.chunk, self.size - (number - 1) * self.chunk)
        return hashlib.shake_128(f"{self.name} {number} {version}".encode()).digest(size)

    def digest(self, number, version):
        """Return the BLAKE3 of a part, as the portal shows it."""
        return blake3(self.data(number, version)).hexdigest()

    def sha256(self, versions=None):
        """Return the SHA-256 of the whole file with the versions that were acknowledged, or with these."""
        versions = self.acknowledged if versions is None else versions
        whole = hashlib.sha256()
        for number in range(1, self.total_parts + 1):
            whole.update(self.data(number, versions.get(number, 0)))
        return whole.hexdigest()

    def describe(self):
        """Return the body that opens it."""
        body = {"original_filename": self.name, "total_size_bytes": self.size, "chunk_size_bytes": self.chunk}
        if self.batch_id:
            body |= {"batch_id": self.batch_id, "path": self.path}
        if self.firm:
            body["sha256"] = "0" * 64 if self.lies else self.sha256({})
        return body


class ClientLog:
    """All uploads of all clients, and every fault that was found; written by many threads.

    `excused` are the codes of answers that are no fault of the portal's.
    """

    def __init__(self, excused=TRY_AGAIN):
        self.excused = excused
        self.uploads, self.faults = [], []
        self.done = Counter()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def new(self, **fields):
        """Return a new Upload under a name of its own."""
        with self._lock:
            upload = Upload(name=f"file-{next(self._numbers)}", **fields)
            self.uploads.append(upload)
        return upload

    def count(self, what):
        """Count something for the report."""
        with self._lock:
            self.done[what] += 1

    def fault(self, text):
        """Keep what must never happen; the first ones say enough."""
        with self._lock:
            if len(self.faults) < FAULTS_KEPT:
                self.faults.append(text)

    def vouch(self, upload, number, version):
        """Part `number` is on record with these bytes: a fault if another version was before."""
        with self._lock:
            before = upload.acknowledged.setdefault(number, version)
        if before != version:
            self.fault(f"{upload.name} part {number}: acknowledged with bytes {before}, later with bytes {version}")

    def end(self, upload, how):
        """The upload has ended: a fault if it was acknowledged to have ended otherwise, or could not have."""
        with self._lock:
            before, upload.ended = upload.ended, upload.ended or how
        possible = {
            "STORED": upload.finalize_sent and not upload.lies,
            "FAILED": upload.finalize_sent and upload.lies,
            "ABORTED": upload.abort_sent,
            "EXPIRED": upload.left_alone,
        }
        if before not in (None, how) or not possible.get(how):
            self.fault(f"{upload.name} {upload.session_id}: {how} after {before}, or though nobody asked for it")
        elif before is None:
            self.count(how)

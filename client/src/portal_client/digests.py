"""SHA-256 of local files, remembered by size and times, so that a second run reads nothing twice.

Only a convenience: without it, or when it is lost, files are read again. What has been stored is asked of the portal.
"""

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from portal_client.bodies import Piece, Stamp
from portal_client.progress import Progress
from portal_client.sources import Source

logger = logging.getLogger("portal_client")

#: A file that was changed so shortly before it was read could change again without another time.
RACY_SECONDS = 2.0
#: How long another run is waited for, that writes at this moment.
LOCK_SECONDS = 10.0
#: Rows that were written longer ago are dropped.
KEEP_SECONDS = 180 * 86400
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS digests "
    "(file TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, sha256 TEXT, written_at INTEGER)"
)


def cache_folder() -> Path:
    """Return the folder for what may be lost."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "portal-client"


class Digests:
    """Digests of files, by absolute path and stamp; kept in `place`, or in memory alone when that is None.

    May be used by many threads at once. A place that cannot be written to is done without.
    """

    def __init__(self, place: Path | None) -> None:
        self._place = place
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._new: dict[str, tuple[Stamp, str]] = {}
        self._lock = threading.Lock()

    def load(self, sources: list[Source]) -> None:
        """Read what is remembered of these files."""
        wanted = [source.file for source in sources]
        with self._database() as database:
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT file, size, mtime_ns, ctime_ns, sha256 FROM digests WHERE file IN ({marks})",  # noqa: S608
                    [os.fsencode(file) for file in some],
                )
                for file, size, mtime_ns, ctime_ns, sha256 in rows:
                    self._known[os.fsdecode(file)] = Stamp(size, mtime_ns, ctime_ns), sha256

    def get(self, source: Source) -> str | None:
        """Return what is remembered of the file as it is now."""
        stamp, sha256 = self._known.get(source.file, (None, None))
        return sha256 if stamp == source.stamp else None

    def reckon(self, source: Source, progress: Progress | None = None) -> str:
        """Return the digest of the file, from memory or by reading it, which `progress` hears of."""
        known = self.get(source)
        if known:
            return known
        found = hashlib.sha256()
        for block in Piece(source.file, source.stamp, 0, source.size).blocks():
            found.update(block)
            if progress:
                progress.advance(source.path, len(block))
        self.remember(source, found.hexdigest())
        return found.hexdigest()

    def remember(self, source: Source, sha256: str) -> None:
        """Keep the digest of a file that was read just now."""
        last = max(source.stamp.mtime_ns, source.stamp.ctime_ns) / 1e9
        if time.time() - last > RACY_SECONDS:
            with self._lock:
                self._new[source.file] = source.stamp, sha256

    def save(self) -> None:
        """Write down what was learnt."""
        with self._lock:
            new, self._new = self._new, {}
        self._known |= new
        if not new:
            return
        now = int(time.time())
        rows = [
            (os.fsencode(file), stamp.size, stamp.mtime_ns, stamp.ctime_ns, sha256, now)
            for file, (stamp, sha256) in new.items()
        ]
        with self._database() as database:
            database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.execute("DELETE FROM digests WHERE written_at < ?", [now - KEEP_SECONDS])

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Give the database, or an empty one in memory if none is to be had; what fails in it is passed over."""
        try:
            database = self._open()
        except (OSError, sqlite3.Error) as error:
            self._do_without(error)
            database = self._open()
        try:
            with closing(database), database:
                yield database
        except sqlite3.Error as error:
            self._do_without(error)

    def _do_without(self, error: Exception) -> None:
        logger.warning("digests are not remembered: %s", error)
        self._place = None

    def _open(self) -> sqlite3.Connection:
        if self._place is not None:
            self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = sqlite3.connect(self._place or ":memory:", timeout=LOCK_SECONDS)
        try:
            database.execute(SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database

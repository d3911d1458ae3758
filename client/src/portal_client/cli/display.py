"""What people see: bars on a terminal, plain lines elsewhere, a table of what failed."""

import threading
import time

from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as RichProgress,
)
from rich.table import Table
from rich.text import Text

from portal_client.cli.app import screen
from portal_client.progress import Progress
from portal_client.sources import Failure, show_name

#: Files from this size on get a bar of their own while they are on their way.
OWN_BAR_BYTES = 8 * 2**20
PLAIN_SECONDS = 5.0
#: So many failures are shown in a terminal; `--json` has them all.
SHOWN_FAILURES = 100


def show_size(size: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Bars(Progress):
    """A bar for all and one for each large file; a context manager."""

    def __init__(self) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[files]}", markup=False),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=screen,
            transient=True,
        )
        self._all = self._rich.add_task("All", total=None, files="")
        self._own: dict[str, TaskID] = {}
        self._files = self._done = 0

    def __enter__(self) -> "Bars":
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def begin(self, files: int, size: int) -> None:
        """So much is to be handled in all."""
        self._files = files
        self._rich.update(self._all, total=size, files=f"0/{files:,} files")

    def start(self, path: str, size: int) -> None:
        """One file is begun."""
        if size >= OWN_BAR_BYTES:
            name = show_name(path)
            self._own[path] = self._rich.add_task(name if len(name) < 40 else f"…{name[-38:]}", total=size, files="")

    def advance(self, path: str, size: int) -> None:
        """Bytes of it went out."""
        self._rich.advance(self._all, size)
        own = self._own.get(path)
        if own is not None:
            self._rich.advance(own, size)

    def finish(self, path: str, failure: Failure | None = None) -> None:
        """One file has ended."""
        self._done += 1
        self._rich.update(self._all, files=f"{self._done:,}/{self._files:,} files")
        own = self._own.pop(path, None)
        if own is not None:
            self._rich.remove_task(own)

    def say(self, text: str) -> None:
        """Something that takes a while begins."""
        self._rich.update(self._all, description=text)


class Lines(Progress):
    """A line every few seconds, for logs and pipes; a context manager."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files = self._size = self._done = self._sent = 0
        self._began = self._told = time.monotonic()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, files: int, size: int) -> None:
        """So much is to be handled in all."""
        self._files, self._size = files, size
        self._began = self._told = time.monotonic()

    def advance(self, path: str, size: int) -> None:
        """Bytes of it went out."""
        with self._lock:
            self._sent += size
            self._tell()

    def finish(self, path: str, failure: Failure | None = None) -> None:
        """One file has ended."""
        with self._lock:
            self._done += 1
            self._tell()

    def say(self, text: str) -> None:
        """Something that takes a while begins."""
        screen.print(text)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < PLAIN_SECONDS:
            return
        self._told = now
        rate = self._sent / (now - self._began)
        left = f", {(self._size - self._sent) / rate:.0f} s left" if rate > 0 else ""
        screen.print(
            f"{self._done:,}/{self._files:,} files, {show_size(self._sent)} of {show_size(self._size)}, "
            f"{show_size(rate)}/s{left}",
            soft_wrap=True,
        )


class Silence(Progress):
    """Nothing; a context manager like the others."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def make_progress(*, quiet: bool) -> Bars | Lines | Silence:
    """Return what suits: bars on a terminal, lines without one, nothing when asked to be quiet."""
    if quiet:
        return Silence()
    return Bars() if screen.is_terminal else Lines()


def show_failures(failures: list[Failure]) -> None:
    """Show which files failed, and why: a table on a terminal, a line each elsewhere."""
    if not failures:
        return
    if not screen.is_terminal:
        for failure in failures:
            line = f"failed: {show_name(failure.path)} ({failure.code}): {failure.detail}"
            screen.print(line, soft_wrap=True)
        return
    table = Table("File", "Code", "Why", title=f"{len(failures):,} failed", title_justify="left")
    for failure in failures[:SHOWN_FAILURES]:
        table.add_row(Text(show_name(failure.path)), Text(failure.code), Text(failure.detail))
    screen.print(table)
    if len(failures) > SHOWN_FAILURES:
        screen.print(f"… and {len(failures) - SHOWN_FAILURES:,} more; --json has them all.")

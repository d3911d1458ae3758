"""Where a download lands: a file that grows, is one download's alone, and gets its name once it is whole."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from portal_client.bodies import Stamp
from portal_client.errors import Corrupt
from portal_client.sources import find_fault

try:
    import fcntl
except ImportError:  # Windows: it goes without locks there
    fcntl = None  # type: ignore[assignment]


def find_stamp(place: Path) -> Stamp | None:
    """Return the stamp of the file at `place`, None when nothing is there; raises Corrupt when something else is."""
    try:
        status = place.stat()
    except FileNotFoundError:
        if place.is_symlink():
            raise Corrupt("A link that leads nowhere is in its place; it was left as it is.") from None
        return None
    if stat.S_ISREG(status.st_mode):
        return Stamp.of(status)
    kind = "A folder" if stat.S_ISDIR(status.st_mode) else "What is no file"
    raise Corrupt(f"{kind} is in its place; it was left as it is.")


def make_place(into: Path, name: str) -> Path:
    """Return where a file of this name goes, inside the folder whatever the portal says; makes the folders to it."""
    wrong = find_fault(name)
    if wrong:
        raise Corrupt(wrong)
    place = into / name
    # Before anything is made, which would be behind the link.
    if not Path(os.path.realpath(place.parent)).is_relative_to(os.path.realpath(into)):
        raise Corrupt("A link leads out of the folder.")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


class Part:
    """The file that a download grows in; while it is open, no other download has it.

    A context manager; raises BlockingIOError when another has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.opened = self.path.open("a+b")
        if not self._lock():
            self.opened.close()
            raise BlockingIOError(errno.EAGAIN, "Another download is writing it.")
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.close()

    def clear(self) -> None:
        """Remove what a run has left that died right after its file was whole, unless another download has it."""
        if self.path.exists():
            with suppress(OSError), self:
                self.remove()

    def size(self) -> int:
        """Return how many bytes it has on disk, whoever wrote them."""
        self.opened.flush()
        return os.fstat(self.opened.fileno()).st_size

    def remove(self) -> None:
        """Remove it."""
        self._release()
        self.path.unlink(missing_ok=True)

    def become(self, place: Path) -> None:
        """Give it its name; raises FileExistsError, and overwrites nothing that is there."""
        self.opened.flush()
        self._release()
        try:
            os.link(self.path, place)
        except FileExistsError:
            raise
        except OSError as error:
            # FAT and some network file systems have no hard links, and say so in many ways. What else it may be,
            # a full disk or a folder that may not be written, keeps it from being renamed too.
            if os.path.lexists(place):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
            self.path.rename(place)
        else:
            self.path.unlink()

    def _lock(self) -> bool:
        if fcntl is None:
            return True
        try:
            fcntl.flock(self.opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a file system without locks
        try:
            # Whoever had it may have given it its name, or removed it, after it was opened here.
            return os.path.samestat(os.fstat(self.opened.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def _release(self) -> None:
        if fcntl is None:
            self.opened.close()  # Windows neither renames nor removes what is open

"""The local files that are to be handed over, and how each is called in the batch."""

import errno
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from portal_client.bodies import Stamp
from portal_client.errors import PortalError

MAX_PATH_BYTES = 1024
#: How the system says that there is nothing of a name.
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

#: One or several files or folders.
Paths = Iterable[str | os.PathLike[str]]


@dataclass(frozen=True)
class Source:
    """A local file, by its absolute path, and its path in the batch, with `/`."""

    path: str
    file: str
    stamp: Stamp

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.stamp.size


@dataclass(frozen=True)
class Failure:
    """A file that is not stored, and why: the portal's code, or one of ours."""

    path: str
    code: str
    detail: str


@dataclass
class Found:
    """What a walk found: files, what cannot be taken, and how many links and devices were passed over."""

    sources: list[Source] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    links: int = 0
    devices: int = 0


def find_sources(paths: Paths, *, follow_links: bool = False) -> Found:
    """Return the files below `paths`, sorted by path.

    One folder alone gives paths below it; several, or files, keep their own names before. Links are passed over
    unless `follow_links`. One that may not be looked at is a failure like any other. Raises PortalError for a path that
    is not there, and when two files would have one path.
    """
    given = [Path(path).absolute() for path in paths]
    found = Found()
    for place in given:
        try:
            status = place.stat()
        except OSError as error:
            if error.errno in NOT_THERE:
                raise PortalError(f"There is no {place}.") from error
            found.failures.append(_unreadable(_own_name(place), error))
            continue
        if stat.S_ISDIR(status.st_mode):
            _walk(found, str(place), "" if len(given) == 1 else f"{_own_name(place)}/", follow_links)
        else:
            _add(found, _own_name(place), str(place), status)
    found.failures.sort(key=lambda failure: failure.path)
    found.sources.sort(key=lambda source: source.path.encode())
    for one, other in zip(found.sources, found.sources[1:], strict=False):
        if one.path == other.path:
            raise PortalError(f"{one.file} and {other.file} would both be {one.path}.")
    return found


def _own_name(place: Path) -> str:
    return place.name if place.name not in ("", "..") else place.resolve().name


def _unreadable(path: str, error: OSError) -> Failure:
    return Failure(show_name(path), "unreadable", error.strerror or str(error))


def _walk(found: Found, top: str, top_prefix: str, follow_links: bool) -> None:
    # Folders that are still to be looked at wait in a list: any depth will do.
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(top, top_prefix, frozenset())]
    while waiting:
        folder, prefix, above = waiting.pop()
        try:
            here = Path(folder).stat()
            entries = list(os.scandir(folder))
        except OSError as error:
            found.failures.append(_unreadable(prefix or folder, error))
            continue
        if (here.st_dev, here.st_ino) in above:
            continue  # a link that leads back up
        if follow_links:
            above |= {(here.st_dev, here.st_ino)}
        for entry in entries:
            if entry.is_symlink() and not follow_links:
                found.links += 1
                continue
            try:
                status = entry.stat(follow_symlinks=follow_links)
            except OSError as error:
                found.failures.append(_unreadable(prefix + entry.name, error))
                continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append((entry.path, f"{prefix}{entry.name}/", above))
            else:
                _add(found, prefix + entry.name, entry.path, status)


def _add(found: Found, path: str, file: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        found.devices += 1
        return
    wrong = find_fault(path)
    if wrong:
        found.failures.append(Failure(show_name(path), "bad_name", wrong))
    else:
        found.sources.append(Source(path, file, Stamp.of(status)))


def find_fault(path: str) -> str:
    """Return what keeps the portal from taking a file of this path; nothing when it is one."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "The name is not UTF-8."
    if size > MAX_PATH_BYTES:
        return f"The path has over {MAX_PATH_BYTES} bytes."
    # Nearly every path is printable, and that is known in one step.
    odd = not path.isprintable() and any(unicodedata.category(character) == "Cc" for character in path)
    if odd or "\\" in path:
        return "The name has a backslash or a control character in it."
    if any(segment in ("", ".", "..") for segment in path.split("/")):
        return "A part of the path is empty, '.' or '..'."
    return ""


def show_name(name: str) -> str:
    """Return a name as it can be printed on one line, whatever is in it."""
    return "".join(_shown(name))


def _shown(name: str) -> Iterator[str]:
    for character in name:
        printable = character == " " or (character.isprintable() and not "\ud800" <= character <= "\udfff")
        yield character if printable else character.encode("unicode_escape", "surrogatepass").decode()

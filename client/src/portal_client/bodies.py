"""What is sent: bytes in memory or a piece of a file, each with its digest, to be had again for every try."""

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from portal_client.errors import SourceFailed, Stopped

BLOCK_BYTES = 256 * 2**10

#: Hears how many bytes of a body went out; what a failed try had sent is taken back as a negative number.
Sent = Callable[[int], None]


class Body(Protocol):
    """The body of a request: how long it is, its Content-Digest, and its bytes from the start on, again and again."""

    size: int

    def digest(self) -> str:
        """Return the value of Content-Digest (RFC 9530), or nothing when it goes without."""

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes."""


def content_digest(sha256: bytes) -> str:
    """Return the value of a Content-Digest header."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


class Bytes:
    """A body that is held in memory."""

    def __init__(self, data: bytes, sha256: bytes | None = None) -> None:
        self.data, self.size = data, len(data)
        self._sha256 = sha256

    def digest(self) -> str:
        """Return the value of Content-Digest."""
        return content_digest(self._sha256 or hashlib.sha256(self.data).digest())

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        for start in range(0, self.size, BLOCK_BYTES):
            yield self.data[start : start + BLOCK_BYTES]


@dataclass(frozen=True)
class Stamp:
    """What tells that a file has not changed: size in bytes, times of content and of inode in nanoseconds."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "Stamp":
        """Return the stamp that a stat result has."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Piece:
    """A body that is a piece of a file, read block by block; raises SourceFailed when the file is not as it was."""

    def __init__(self, file: str, stamp: Stamp, start: int, size: int) -> None:
        self.file, self.stamp, self.start, self.size = file, stamp, start, size
        self._digest = ""

    def digest(self) -> str:
        """Return the value of Content-Digest; reads the piece once."""
        if not self._digest:
            found = hashlib.sha256()
            for block in self.blocks():
                found.update(block)
            self._digest = content_digest(found.digest())
        return self._digest

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        try:
            with open(self.file, "rb", buffering=0) as opened:
                opened.seek(self.start)
                left = self.size
                while left:
                    block = opened.read(min(left, BLOCK_BYTES))
                    if not block:
                        break
                    left -= len(block)
                    yield block
                if left or Stamp.of(os.fstat(opened.fileno())) != self.stamp:
                    raise SourceFailed("source_changed", "It changed while it was being sent; run it again.")
        except OSError as error:
            # As an OSError it would look like one of the connection's.
            raise SourceFailed("unreadable", error.strerror or str(error)) from error


def read_whole(file: str, stamp: Stamp) -> bytes:
    """Return the bytes of a small file; raises SourceFailed when it cannot be read or is not as it was."""
    return b"".join(Piece(file, stamp, 0, stamp.size).blocks())


class Outgoing:
    """A body on its way, once: tells what went out, and breaks off when the work is called off."""

    def __init__(self, body: Body | None, stop: threading.Event, sent: Sent | None) -> None:
        self.body, self.stop, self.sent = body, stop, sent
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self.body.blocks() if self.body is not None else ():
            if self.stop.is_set():
                raise Stopped("The work was called off.")
            yield block
            self.count += len(block)
            if self.sent:
                self.sent(len(block))

    def take_back(self) -> None:
        """Take back what was told: it did not arrive, or it is not known to have."""
        if self.sent and self.count:
            self.sent(-self.count)
        self.count = 0

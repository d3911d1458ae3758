"""What a scanner is: it judges one content at a time, and without a verdict it says so."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

#: So much of what a scanner says is kept.
SAID_BYTES, DETAIL_CHARACTERS = 4096, 200


class ScannerMisconfigured(Exception):
    """The setting names no scanner."""


class ScannerFailed(Exception):
    """There is no verdict: the scanner does not answer, or could not look."""


class Scanner(ABC):
    """Judges one content at a time, for any number of threads."""

    def __init__(self, timeout):
        #: Seconds without a byte taken, or without the verdict once it has all, after which it is given up.
        self.timeout = timeout

    @abstractmethod
    def scan(self, blocks: Iterable[bytes]) -> str | None:
        """Return why the content is refused, None when it is not; raises ScannerFailed, and what `blocks` raises."""

    @abstractmethod
    def check(self) -> None:
        """Raise ScannerFailed unless it can be asked."""


def one_line(text):
    """Return the first line of a scanner's answer, printable and short."""
    line = next(iter(text.strip().splitlines()), "")
    return "".join(character for character in line if character.isprintable())[:DETAIL_CHARACTERS]

"""What a scanner is: it judges one content at a time, and without a verdict it says so."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

#: So much of what a scanner says is kept.
SAID_BYTES, DETAIL_CHARACTERS = 4096, 200
#: Who waits for a scanner beats at least so often.
BEAT_SECONDS = 1


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
    def scan(self, blocks: Iterable[bytes], *, beat: Callable[[], object] = lambda: None) -> str | None:
        """Return why the content is refused, None when it is not; calls `beat()` while it waits.

        Raises ScannerFailed, and what `blocks` and `beat` raise.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise ScannerFailed unless it can be asked."""

    def _wait(self, attempt, beat, missing):
        """Return what `attempt()` finds once that is not None; each takes BEAT_SECONDS at most.

        Raises ScannerFailed, with the text `missing`, when that is too late.
        """
        until = time.monotonic() + self.timeout
        while (found := attempt()) is None:
            beat()
            if time.monotonic() >= until:
                raise ScannerFailed(missing)
        return found


def one_line(text):
    """Return the first line of a scanner's answer, printable and short."""
    line = next(iter(text.strip().splitlines()), "")
    return "".join(character for character in line if character.isprintable())[:DETAIL_CHARACTERS]

"""ClamAV's daemon as a scanner, on a socket of its machine or of another."""

import re
import socket
import struct
from contextlib import contextmanager

from portal.inspection.base import BEAT_SECONDS, SAID_BYTES, Scanner, ScannerFailed, one_line

ANSWER_BYTES = 2**16
CONNECT_SECONDS = 10


class Clamd(Scanner):
    """ClamAV's daemon, by INSTREAM (clamd(8)): blocks behind their length in 4 bytes, an empty one ends them."""

    def __init__(self, address, timeout):
        super().__init__(timeout)
        self.address = address

    def scan(self, blocks, *, beat=lambda: None):
        with self._connect() as line:
            if self._tell(line, b"zINSTREAM\0", beat):
                # When it has heard enough it answers and hangs up.
                all(self._tell(line, struct.pack("!I", len(block)) + block, beat) for block in blocks)
                self._tell(line, struct.pack("!I", 0), beat)
            answer = self._hear(line, beat)
        if answer == "stream: OK":
            return None
        if found := re.fullmatch(r"stream: (.+) FOUND", answer):
            return one_line(found[1])
        if "size limit exceeded" in answer:
            # Waiting would not make it smaller, and what was not scanned is not let in.
            return "The file is larger than the scanner takes."
        raise ScannerFailed(f"clamd answered {one_line(answer)!r}")

    def check(self):
        with self._connect() as line:
            self._tell(line, b"zPING\0")
            answer = self._hear(line)
        if answer != "PONG":
            raise ScannerFailed(f"clamd answered {one_line(answer)!r}")

    def _connect(self):
        seconds = min(self.timeout, CONNECT_SECONDS)
        with _faults():
            if not isinstance(self.address, str):
                line = socket.create_connection(self.address, seconds)
            else:
                line = socket.socket(socket.AF_UNIX)
                line.settimeout(seconds)
                try:
                    line.connect(self.address)
                except OSError:
                    line.close()
                    raise
        line.settimeout(BEAT_SECONDS)
        return line

    def _tell(self, line, data, beat=lambda: None):
        """Send; False when the other side has hung up: its answer may be there to be read."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._wait(lambda rest=left: _try(line.send, rest), beat, "clamd: timed out") :]
            except _HungUp:
                return False
        return True

    def _hear(self, line, beat=lambda: None):
        answer = b""
        while not answer.endswith(b"\0") and len(answer) < ANSWER_BYTES:
            more = self._wait(lambda: _try(line.recv, SAID_BYTES), beat, "clamd: timed out")
            if not more:
                break
            answer += more
        return answer.rstrip(b"\0\n").decode(errors="replace")


class _HungUp(ScannerFailed):
    """The other side has closed the connection."""


@contextmanager
def _faults():
    """Faults of the socket alone: what the blocks raise is somebody else's."""
    try:
        yield
    except (OSError, UnicodeError) as error:  # the latter of a name that no host can have
        raise ScannerFailed(f"clamd: {error}") from error


def _try(call, argument):
    """Return what a call on the socket returns; None when that takes longer than a beat."""
    with _faults():
        try:
            return call(argument)
        except TimeoutError:
            return None
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _HungUp(f"clamd: {error}") from error

"""ClamAV's daemon as a scanner, on a socket of its machine or of another."""

import re
import socket
import struct
from contextlib import contextmanager

from portal.inspection.base import SAID_BYTES, Scanner, ScannerFailed, one_line

ANSWER_BYTES = 2**16


class Clamd(Scanner):
    """ClamAV's daemon, by INSTREAM (clamd(8)): blocks behind their length in 4 bytes, an empty one ends them."""

    def __init__(self, address, timeout):
        super().__init__(timeout)
        self.address = address

    def scan(self, blocks):
        with self._connect() as line:
            if _tell(line, b"zINSTREAM\0"):
                # When it has heard enough it answers and hangs up.
                all(_tell(line, struct.pack("!I", len(block)) + block) for block in blocks)
                _tell(line, struct.pack("!I", 0))
            answer = _hear(line)
        if answer == "stream: OK":
            return None
        if found := re.fullmatch(r"stream: (.+) FOUND", answer):
            return found[1]
        if "size limit exceeded" in answer:
            # Waiting would not make it smaller, and what was not scanned is not let in.
            return "The file is larger than the scanner takes."
        raise ScannerFailed(f"clamd answered {one_line(answer)!r}")

    def check(self):
        with self._connect() as line:
            _tell(line, b"zPING\0")
            answer = _hear(line)
        if answer != "PONG":
            raise ScannerFailed(f"clamd answered {one_line(answer)!r}")

    def _connect(self):
        with _faults():
            if not isinstance(self.address, str):
                return socket.create_connection(self.address, self.timeout)
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(self.timeout)
            try:
                line.connect(self.address)
            except OSError:
                line.close()
                raise
            return line


@contextmanager
def _faults():
    """Faults of the socket alone: what the blocks raise is somebody else's."""
    try:
        yield
    except OSError as error:
        raise ScannerFailed(f"clamd: {error}") from error


def _tell(line, data):
    """Send; False when the other side has hung up: its answer may be there to be read."""
    with _faults():
        try:
            line.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


def _hear(line):
    answer = b""
    with _faults():
        while not answer.endswith(b"\0") and len(answer) < ANSWER_BYTES:
            more = line.recv(SAID_BYTES)
            if not more:
                break
            answer += more
    return answer.rstrip(b"\0\n").decode(errors="replace")

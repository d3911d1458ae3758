"""Any command that reads stdin as a scanner."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress

from portal.inspection.base import SAID_BYTES, Scanner, ScannerFailed, ScannerMisconfigured, one_line


class Command(Scanner):
    """A command that reads the content from stdin: exit status 0 lets it in, 1 refuses it, anything else is a fault.

    The first line that it prints says why.
    """

    def __init__(self, arguments, timeout):
        super().__init__(timeout)
        if not arguments:
            raise ScannerMisconfigured("PORTAL_SCANNER names no command.")
        self.arguments = arguments

    def scan(self, blocks):
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    self.arguments, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True
                )
            except OSError as error:
                raise ScannerFailed(f"{self.arguments[0]}: {error.strerror}") from error
            try:
                self._feed(process.stdin.fileno(), blocks)
                with suppress(BrokenPipeError):
                    process.stdin.close()
                status = process.wait(self.timeout)
            except subprocess.TimeoutExpired as error:
                raise ScannerFailed(f"{self.arguments[0]} gave no verdict for {self.timeout} s") from error
            finally:
                _end(process)
            said.seek(0)
            text = one_line(said.read(SAID_BYTES).decode(errors="replace"))
        if status == 0:
            return None
        if status == 1:
            return text or "The scanner refused the file."
        raise ScannerFailed(f"{self.arguments[0]} ended with {status}: {text}")

    def check(self):
        if shutil.which(self.arguments[0]) is None:
            raise ScannerFailed(f"{self.arguments[0]} is not a program here")

    def _feed(self, pipe, blocks):
        """Write the blocks for as long as they are taken: one that has seen enough may end, or close its stdin."""
        os.set_blocking(pipe, False)
        writable = select.poll()
        writable.register(pipe, select.POLLOUT)
        for block in blocks:
            left = memoryview(block)
            while left:
                if not writable.poll(self.timeout * 1000):
                    raise ScannerFailed(f"{self.arguments[0]} took no bytes for {self.timeout} s")
                try:
                    left = left[os.write(pipe, left) :]
                except BrokenPipeError:
                    return


def _end(process):
    """Leave nothing of it behind, whatever it has begun."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with suppress(OSError):
        process.stdin.close()

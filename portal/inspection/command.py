"""Any command that reads stdin as a scanner."""

import os
import select
import shutil
import signal
import subprocess
from contextlib import suppress

from portal.inspection.base import BEAT_SECONDS, SAID_BYTES, Scanner, ScannerFailed, ScannerMisconfigured, one_line

#: All that it gets of our environment, which has secrets.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
#: How long an end may go unseen of a command whose own children hold its stdout open.
LOOK_SECONDS = 0.1
#: One that cannot be ended is left alone after so long.
END_SECONDS = 5


class Command(Scanner):
    """A command that reads the content from stdin: exit status 0 lets it in, 1 refuses it, anything else is a fault.

    The first line that it prints says why.
    """

    def __init__(self, arguments, timeout):
        super().__init__(timeout)
        if not arguments:
            raise ScannerMisconfigured("PORTAL_SCANNER names no command.")
        self.arguments = arguments

    def scan(self, blocks, *, beat=lambda: None):
        name = self.arguments[0]
        try:
            run = _Run(self.arguments)
        except OSError as error:
            raise ScannerFailed(f"{name}: {error.strerror}") from error
        try:
            for block in blocks:
                left = memoryview(block)
                while left and run.listens:
                    self._wait(run.takes, beat, f"{name} took no bytes for {self.timeout} s")
                    left = left[run.give(left) :]
                if not run.listens:
                    break
            run.give_end()
            status = self._wait(run.status, beat, f"{name} gave no verdict for {self.timeout} s")
        finally:
            run.end()
        text = one_line(run.said.decode(errors="replace"))
        if status == 0:
            return None
        if status == 1:
            return text or "The scanner refused the file."
        raise ScannerFailed(f"{name} ended with {status}: {text}")

    def check(self):
        if shutil.which(self.arguments[0]) is None:
            raise ScannerFailed(f"{self.arguments[0]} is not a program here")


class _Run:
    """One run of a command. What it says is heard to the end and kept from its beginning; none of it lies anywhere."""

    def __init__(self, arguments):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        env = {name: value for name, value in os.environ.items() if name in PASSED_ON}
        self._process = subprocess.Popen(arguments, start_new_session=True, env=env, **pipes)
        self._into, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._poll = select.poll()
        for pipe, event in (self._into, select.POLLOUT), (self._out, select.POLLIN):
            os.set_blocking(pipe, False)
            self._poll.register(pipe, event)
        self.said = b""
        #: Whether it may take more bytes: one that has seen enough may end, or close its stdin.
        self.listens = True
        self._speaks = True

    def takes(self):
        """Return True once it takes bytes or has closed its stdin, None after a beat."""
        ready = dict(self._poll.poll(BEAT_SECONDS * 1000))
        self._hear()
        return self._into in ready or None

    def give(self, data):
        """Write what it takes of `data`; return how much that is."""
        try:
            return os.write(self._into, data)
        except BrokenPipeError:
            self.listens = False
            return 0

    def give_end(self):
        """There are no more bytes."""
        self._poll.unregister(self._into)
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def status(self):
        """Return its exit status, None while it has none."""
        if self._speaks:
            self._poll.poll(LOOK_SECONDS * 1000)
        else:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LOOK_SECONDS)
        status = self._process.poll()
        self._hear()
        return status

    def end(self):
        """Leave nothing of it behind, whatever it has begun."""
        # One that runs as somebody else is not ours to end.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)

    def _hear(self):
        with suppress(BlockingIOError):
            while self._speaks and (more := os.read(self._out, SAID_BYTES)):
                self.said += more[: SAID_BYTES - len(self.said)]
                if len(self.said) == SAID_BYTES:
                    return
            if self._speaks:
                self._speaks = False
                self._poll.unregister(self._out)

"""strace on a process that runs already: its calls in order, one of them a kill or a failure."""

import contextlib
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

#: What changes the disk, what makes it durable, and what speaks to the database; `write` is also the answer.
CHANGES = "openat mkdir mkdirat rename renameat renameat2 unlink unlinkat write pwrite64 writev fallocate ftruncate"
#: What only looks, or locks: between two of these nothing changes on the disk.
LOOKS = "pread64 preadv lseek fcntl close"
SYNCS = "fdatasync fsync"
#: PostgreSQL works while its client is in `poll`: a COMMIT is on its way there.
DATABASE = "sendto poll recvfrom"
#: No operation takes longer.
LONGEST_SECONDS, DETACH_SECONDS = 60, 5
ATTACHED = re.compile(r"Process (\d+) attached")
#: With -f each line begins with the thread; -y names the file of a descriptor.
LINE = re.compile(r"^(?:(?P<thread>\d+) +)?(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)")
PATH = re.compile(r"^\d+<(?P<path>.*?)>(?:,|$)")


@dataclass(frozen=True)
class Call:
    """One system call: the `ordinal`-th of its `name`, as strace counts them for an injection."""

    name: str
    ordinal: int
    arguments: str
    result: int | None

    @property
    def failed(self):
        """Whether it came back with an error, or not at all."""
        return self.result is None or self.result < 0

    @property
    def path(self):
        """The file that it is about: of the descriptor, or the first name in its arguments."""
        found = PATH.match(self.arguments)
        return found["path"] if found else (self.paths or [""])[0]

    @property
    def paths(self):
        """All names in the arguments."""
        return re.findall(r'"((?:[^"\\]|\\.)*)"', self.arguments)


class Strace:
    """Follows the process `pid` from now on; `inject` is an expression such as `fsync:error=EIO:when=3`."""

    def __init__(self, pid, *, calls=f"{CHANGES} {SYNCS} {DATABASE}", inject=None, threads=False, text=64):
        self.folder = tempfile.TemporaryDirectory(prefix="portal-strace-")
        self.log = Path(self.folder.name) / "log"
        options = ["-e", f"trace={','.join(calls.split())}", "-y", "-s", str(text), "-o", str(self.log)]
        options += ["-e", f"inject={inject}"] if inject else []
        options += ["-f"] if threads else []
        command = ["strace", *options, "-p", str(pid)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = self.process.stderr.readline()
        # Of many threads the rest follows at once, and nobody reads what it says of them.
        if not ATTACHED.search(said):
            self.process.wait()
            raise NoTrace(f"strace cannot attach: {said.strip()}")

    def settle(self, seconds):
        """Wait so long for the end of the process that is followed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def detach(self):
        """Let the process go on alone, or be gone; return the Calls that were made."""
        self.process.terminate()
        # Of a process with many threads that was killed meanwhile, strace waits for some that are no more.
        return self.wait(DETACH_SECONDS)

    def wait(self, seconds=LONGEST_SECONDS):
        """Wait until the process that is followed has ended; return the Calls."""
        self.settle(seconds)
        # A call that was to kill and never came would be waited for without end.
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        counts, calls = Counter(), []
        for line in self.log.read_text(errors="replace").splitlines():
            found = LINE.match(line)
            if found:
                counts[found["name"]] += 1
                result = None if found["result"] == "?" else int(found["result"])
                calls.append(Call(found["name"], counts[found["name"]], found["arguments"], result))
        self.folder.cleanup()
        return calls


class NoTrace(Exception):
    """This machine does not let us follow a process."""

"""Processes and all that they started: found in /proc, stopped together."""

import contextlib
import os
import signal
from pathlib import Path


def family(*pids):
    """Return `pids` and all that they started and that still runs, parents first."""
    found = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop(0)
        found.append(pid)
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                waiting += map(int, thread.read_text(encoding="ascii").split())
    return found


def freeze(pids):
    """Stop the processes; returns when no thread of theirs runs, but for what it is still doing in the kernel."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    waiting = list(pids)
    while waiting:
        waiting = [pid for pid in waiting if _runs(pid)]


def _runs(pid):
    try:
        # Stopped, waiting for a disk, dead: none of them acts.
        return any(_state(thread) not in "TtDZX" for thread in Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _state(thread):
    return (thread / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]

"""What is measured, and how: CPU and memory of processes from /proc, medians, rounds that alternate, the machine."""

import mmap
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def say(text):
    """Show one line of progress at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def process_tree(*roots):
    """Return the process ids of `roots` and of all that they started and that still run."""
    children = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat(entry.name)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, ())
    return found


def cpu_seconds(*roots):
    """Return user and system time of the process trees, that of children that have ended and were waited for too."""
    ticks = 0
    for pid in process_tree(*roots):
        fields = _stat(pid)
        if fields:
            ticks += sum(map(int, fields[11:15]))
    return ticks * TICK


def memory_bytes(pid, name):
    """Return `VmRSS` (now) or `VmHWM` (its peak) of one process."""
    text = (PROC / str(pid) / "status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024


def reset_peak(pid):
    """Make the peak of a process what it holds now."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def _stat(pid):
    """Return the fields of /proc/PID/stat after the name (state first), or None when the process has gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


class Spent:
    """Wall time and CPU of the process trees `roots` over a block: `with Spent(pid) as spent: …; spent.cpu`."""

    def __init__(self, *roots):
        self.roots = roots

    def __enter__(self):
        self._cpu, self._wall = cpu_seconds(*self.roots), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.wall = time.perf_counter() - self._wall
        self.cpu = cpu_seconds(*self.roots) - self._cpu


def touch_memory(size):
    """Take `size` bytes of memory and give them back, so that what is measured next finds them at hand.

    A virtual machine may hand free memory back to its host a moment after it was freed. Who takes it first then pays
    for it: twice the CPU of a whole upload, by chance for one contestant and not for the next.
    """
    size = min(size, _available_bytes() // 2)
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def _available_bytes():
    return int(re.search(r"MemAvailable:\s+(\d+)", (PROC / "meminfo").read_text())[1]) * 1024


def alternate(contestants, rounds, *, before=lambda: None):
    """Run each of `contestants` (name → function that returns a dict of figures) in turn, `rounds` times.

    Return name → figure → the list of what was measured. One round before is not counted; `before` is called ahead of
    each measurement.
    """
    seen = {name: {} for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            before()
            figures = run()
            shown = "  ".join(f"{key} {value:.3f}" for key, value in figures.items())
            say(f"    {f'round {number}/{rounds}' if number else 'warm-up'}  {name:22} {shown}")
            for key, value in figures.items() if number else ():
                seen[name].setdefault(key, []).append(value)
    return seen


def median(values):
    """Return the median."""
    return statistics.median(values)


def quantile95(values):
    """Return what 19 of 20 stay below."""
    return statistics.quantiles(values, n=20)[-1]


@dataclass
class Figure:
    """One line of a question's answer: a value beside its bound; no bound, only reported."""

    what: str
    value: float
    bound: float | None = None
    #: "most" or "least": which way the bound goes.
    at: str = "most"
    unit: str = "x"
    detail: str = ""

    @property
    def verdict(self):
        """`ok`, `MISSED`, or `reported` when there is no bound."""
        if self.bound is None:
            return "reported"
        kept = self.value <= self.bound if self.at == "most" else self.value >= self.bound
        return "ok" if kept else "MISSED"

    @property
    def limit(self):
        """The bound in words."""
        return "none" if self.bound is None else f"at {self.at} {self.bound:g} {self.unit}"

    def line(self):
        """Return the line that is printed."""
        return f"  {self.verdict:8}  {self.value:8.2f} {self.unit:4} {self.limit:18} {self.what}"


@dataclass
class Answer:
    """What a question found: its figures, what they were made of, and what could not be compared."""

    figures: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def add(self, what, value, bound=None, **rest):
        """Add one figure."""
        self.figures.append(Figure(what, value, bound, **rest))

    def skip(self, reason):
        """Say what was left out, and why."""
        say(f"    skipped: {reason}")
        self.notes.append(f"Skipped: {reason}")


def describe_machine(folder):
    """Return one line: processor, cores, memory, disk, kernel."""
    model = re.search(r"^model name\s*: (.*)$", (PROC / "cpuinfo").read_text(), re.MULTILINE)
    memory = int(re.search(r"MemTotal:\s+(\d+)", (PROC / "meminfo").read_text())[1]) / 2**20
    disk = f"{_filesystem(folder)}, {shutil.disk_usage(folder).free / 2**30:.0f} GiB free"
    processor = model[1] if model else platform.machine()
    return f"{os.cpu_count()} cores of {processor}, {memory:.0f} GiB; {disk}; Linux {platform.release()}"


def _filesystem(folder):
    found = ("", "?")
    for line in (PROC / "mounts").read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if Path(folder).resolve().is_relative_to(place) and len(place) >= len(found[0]):
            found = place, kind
    return found[1]


def version_of(*command):
    """Return the first line that a program says of its version, or None when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0].strip() if lines else None

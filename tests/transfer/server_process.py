"""What the kernel knows of the running server: which process answers, its memory, its open files."""

from pathlib import Path


def server_pid(server):
    """Return the process id of the one worker of granian that answers requests."""
    main = server.processes[0].pid
    [worker] = [pid for pid, parent in _parents().items() if parent == main]
    return worker


def peak_memory(pid):
    """Return the most resident memory that a process has ever had, in bytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def open_files(pid, below):
    """Return the paths below the folder `below` that a process has open, one for each descriptor."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(descriptor.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
    return [link for link in links if link.is_relative_to(Path(below).resolve())]


def _parents():
    """Return the parent of each process that there is."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything; the parent's id is the second field after it.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
    return parents

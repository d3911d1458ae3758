"""Kill the real server, and the real worker, at chosen system calls of each operation: a thin sweep over HTTP.

    python -m tests.crashes.served_calls --database postgresql --report FILE

`every_call` hits every call of one thread; this one hits the same calls where several threads make them. Exits with 1
when anything that was acknowledged was lost, or the client could not go on.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.crashes.calls import Calls
from tests.crashes.endings import Abort, Delete, Finalize
from tests.crashes.judge import Judge
from tests.crashes.line import Line, Lost
from tests.crashes.mortal import SERVER, WORKER, MortalPortal
from tests.crashes.report import write_served
from tests.crashes.scenes import SIZE, Open, Part
from tests.crashes.strace import CHANGES, DATABASE, SYNCS, NoTrace, Strace
from tests.crashes.uploads import CHUNK, HEAVY_BYTES, HEAVY_CHUNK, ClientLog
from tests.databases import new_database

#: Which calls of an operation; how often each comes differs between the databases.
DISK = "fallocate pwrite64 fdatasync fsync mkdir rename unlink".split()
SOCKET = "sendto poll recvfrom".split()
#: A thread counts its own calls: of many it makes only a few.
NUMBERS = (1, 2, 4, 8)


class Served:
    """Makes a scene of a portal that is served: the same steps over HTTP, one log for all."""

    size, chunk = SIZE, CHUNK

    def __init__(self, portal, log, line, batch_id):
        self.portal, self.log, self.line, self.batch_id = portal, log, line, batch_id
        self.calls = Calls(portal.url, line.token, log)
        self.upload = log.new(size=self.size, chunk=self.chunk, batch_id=batch_id)
        self.prepare()

    def victim(self):
        """Return the process that answers: the one child of granian."""
        granian = self.portal.processes[0].pid
        return int(Path(f"/proc/{granian}/task/{granian}/children").read_text().split()[0])

    def end_leases(self):
        """Those of the dead alone: somebody lives here."""
        time.sleep(0.05)


class ServedOpen(Served, Open):
    """As its scene."""


class ServedPart(Served, Part):
    """As its scene."""


class ServedFinalize(Served, Finalize):
    """As its scene."""


class ServedAbort(Served, Abort):
    """As its scene."""


class ServedDelete(Served, Delete):
    """As its scene."""


class ByWorker(Served, Finalize):
    """A large file, which the worker finalizes."""

    size, chunk = HEAVY_BYTES + HEAVY_CHUNK, HEAVY_CHUNK

    def prepare(self):
        self.calls.open(self.upload)
        for number in self.upload.missing:
            self.calls.put(self.upload, number, 0)

    def victim(self):
        """Return the worker."""
        return self.portal.processes[1].pid


SCENES = (ServedOpen, ServedPart, ServedFinalize, ByWorker, ServedAbort, ServedDelete)


def run_served(portal, *, every=1, progress=lambda line: None):
    """Try each `every`-th point on a portal that is up; return `(kills by scene, points without a kill, log)`."""
    log, kills, missed, place = ClientLog(), Counter(), 0, 0
    line = Line(portal.url, portal.create_token("ann"), log.fault)
    judge = Judge(portal, line, log)
    batch_id = line.ask("POST", "/batches", {"name": "served calls"}).members["id"]
    names = DISK if portal.database_url.startswith("sqlite:") else DISK + SOCKET
    for scene_class in SCENES:
        for name in names:
            for number in NUMBERS:
                place += 1
                if place % every:
                    continue
                scene = scene_class(portal, log, line, batch_id)
                if _kill(scene, f"{name}:signal=SIGKILL:when={number}"):
                    kills[scene_class.__name__] += 1
                    portal.strike(SERVER, WORKER)
                    portal.revive()
                    portal.end_leases()
                    line.close()
                else:
                    missed += 1
                scene.calls.line.close()
                scene.upload.unsure = scene.upload.session_id is not None and not scene.upload.delete_sent
                scene.finish()
                scene.calls.line.close()
                judge.judge_round()
                if log.faults:
                    log.fault(f"… at {scene_class.__name__}, {name} {number}")
                    return kills, missed, log
        progress(f"{scene_class.__name__}: killed {kills[scene_class.__name__]} times; {missed} times in all no kill")
    judge.judge_end(batch_id)
    return kills, missed, log


def _kill(scene, inject):
    """Act while the injection is in place; return whether the process died of it."""
    pid = scene.victim()
    strace = Strace(pid, calls=f"{CHANGES} {SYNCS} {DATABASE}", inject=inject, threads=True)
    with suppress(Lost):
        scene.act()
    if isinstance(scene, ByWorker):
        strace.settle(3)
    strace.detach()
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def main():
    """Read the arguments, sweep, write the report; 1 when there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.served_calls", description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(sqlite)")
    parser.add_argument("--every", type=int, default=1, help="only each N-th point (1)")
    parser.add_argument("--report", type=Path, help="write a report in Markdown to this file")
    options = parser.parse_args()
    folder, began = Path(tempfile.mkdtemp(prefix="portal-served-")), time.monotonic()
    try:
        with new_database(options.database, folder) as url, MortalPortal(folder, database_url=url) as portal:
            kills, missed, log = run_served(portal, every=options.every, progress=lambda text: print(text, flush=True))
    except (NoTrace, FileNotFoundError) as error:
        print(f"Skipped: {error}")
        return 2
    finally:
        shutil.rmtree(folder)
    seconds = time.monotonic() - began
    if options.report:
        write_served(options, kills, missed, log, seconds)
    for fault in log.faults:
        print(f"FAULT {fault}")
    print(f"{sum(kills.values())} points on {options.database} in {seconds:.0f} s, {len(log.faults)} faults")
    return 1 if log.faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Kill each operation at every system call that touches disk or database, and make each change fail once.

    python -m tests.crashes.every_call --database postgresql --operation part --kind kill --report FILE

A first run counts the calls; then there is one run for each of them. Exits with 1 when anything that was acknowledged
was lost, a failure was answered with anything but 503 or 507, or the client could not go on.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.crashes.endings import OPERATIONS
from tests.crashes.points import count_calls, fault_points, hit, kill_points
from tests.crashes.report import write_sweep
from tests.crashes.small import SmallPortal
from tests.crashes.strace import NoTrace
from tests.databases import new_database

KINDS = ("kill", "EIO", "ENOSPC", "ECONNRESET")


@dataclass
class Sweep:
    """What a sweep did and found; `points` counts them by (operation, kind)."""

    calls: dict = field(default_factory=dict)
    points: Counter = field(default_factory=Counter)
    faults: list = field(default_factory=list)
    seconds: float = 0


def run_sweep(portal, *, operations, kinds, every=1, looks=True, stop=False, progress=lambda line: None):
    """Hit each `every`-th point of the operations; with `stop` end at the first fault. Returns the Sweep."""
    began, sweep = time.monotonic(), Sweep()
    for name in operations:
        calls, faults = count_calls(OPERATIONS[name], portal)
        sweep.calls[name] = len(calls)
        sweep.faults += [f"{name} undisturbed: {fault}" for fault in faults]
        for kind in kinds:
            points = kill_points(calls, looks=looks) if kind == "kill" else fault_points(calls, portal.data_dir, kind)
            # The last ones are where the answer is on its way.
            for point in points[::-every][::-1]:
                if stop and sweep.faults:
                    break
                faults = hit(OPERATIONS[name], portal, point)
                sweep.points[name, kind] += 1
                sweep.faults += [f"{name}, {point}, {point.call.path}: {fault}" for fault in faults]
            done, of = sweep.points[name, kind], len(points)
            progress(f"{name}: {len(calls)} calls; {kind} at {done} of {of} points; {len(sweep.faults)} faults")
    sweep.seconds = time.monotonic() - began
    return sweep


def main():
    """Read the arguments, sweep, write the report; 1 when there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.every_call", description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(sqlite)")
    parser.add_argument("--operation", choices=list(OPERATIONS), action="append", help="may be repeated (all)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="may be repeated (all)")
    parser.add_argument("--every", type=int, default=1, help="only each N-th point (1)")
    parser.add_argument("--changes-only", action="store_true", help="no kills at calls that only look or lock")
    parser.add_argument("--stop", action="store_true", help="end at the first fault")
    parser.add_argument("--report", type=Path, help="write a report in Markdown to this file")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="portal-calls-"))
    try:
        with new_database(options.database, folder) as url, SmallPortal(folder, database_url=url) as portal:
            sweep = run_sweep(
                portal,
                operations=options.operation or list(OPERATIONS),
                kinds=options.kind or [kind for kind in KINDS if kind != "ECONNRESET" or "sqlite:" not in url],
                every=options.every,
                looks=not options.changes_only,
                stop=options.stop,
                progress=lambda line: print(line, flush=True),
            )
    except (NoTrace, FileNotFoundError) as error:
        print(f"Skipped: {error}")
        return 2
    finally:
        shutil.rmtree(folder)
    if options.report:
        write_sweep(options, sweep)
    for fault in sweep.faults:
        print(f"FAULT {fault}")
    total = sum(sweep.points.values())
    print(f"{total} points on {options.database} in {sweep.seconds:.0f} s, {len(sweep.faults)} faults")
    return 1 if sweep.faults else 0


if __name__ == "__main__":
    sys.exit(main())

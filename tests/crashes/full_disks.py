"""Full and read-only disks under several clients: refused with a reason, nothing lost, recovered without a person.

    python -m tests.crashes.full_disks [--case NAME] [--database postgresql] --report FILE

Exits with 1 when a promise was broken, with 2 where nothing can be mounted.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from boot.readiness import ask
from tests.crashes.crowd import EXCUSED, Crowd
from tests.crashes.disks import LoopDisk, MemoryDisk, NoDisk, ballast
from tests.crashes.mortal import MortalPortal
from tests.crashes.report import write_cases
from tests.crashes.uploads import ClientLog
from tests.databases import new_database
from tests.server import ServerFailed

MIB = 2**20
FULL = {(507, "insufficient_storage")}
FAILING = {(503, "storage_unavailable")}
NO_DATABASE = {(503, "database_unavailable"), *FULL, *FAILING}


@dataclass
class Stage:
    """What a case has: the portal that is up, the disk of its bytes, and the crowd of its clients."""

    portal: MortalPortal
    disk: LoopDisk
    crowd: Crowd


@contextlib.contextmanager
def set_stage(place, *, kind=LoopDisk, database_there=False, counts_there=True, **env):
    """Give a Stage whose bytes lie on a disk of 64 MiB, its SQLite database too if `database_there`, and its counts."""
    folder, database, log = place
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(kind(folder, megabytes=64))
        url = stack.enter_context(new_database(database, disk.path if database_there else folder))
        portal = MortalPortal(disk.path / "data", database_url=url, env=env)
        if not counts_there:
            (folder / "metrics").mkdir()
            (portal.data_dir / "metrics").symlink_to(folder / "metrics")
        # What it says is for us, and not on a disk that is full.
        portal.log = folder / "server.log"
        stack.enter_context(portal)
        crowd = Crowd(portal, log)
        stack.callback(crowd.close)
        yield Stage(portal, disk, crowd)


def memory_is_full(place):
    """A tmpfs fills up during uploads; then there is room again."""
    with set_stage(place, kind=MemoryDisk) as stage:
        fill_and_go_on(stage)


def disk_is_full(place):
    """A small ext4 fills up during uploads; then there is room again."""
    with set_stage(place) as stage:
        fill_and_go_on(stage)


def fill_and_go_on(stage):
    """Let the clients fill what is left, and finish when there is room."""
    stage.crowd.send_all(files=1)
    stage.crowd.finalize_all()
    with ballast(stage.disk, leave=12 * MIB):
        stage.crowd.send_until_refused(FULL)
        stage.crowd.reads_are_answered()
    stage.crowd.finish()


def aborting_makes_room(place):
    """A full disk has room again once clients gave up half of their uploads."""
    with set_stage(place) as stage, ballast(stage.disk, leave=12 * MIB):
        stage.crowd.send_until_refused(FULL)
        stage.crowd.abort_half()
        stage.crowd.finish()


def floor_is_kept(place):
    """PORTAL_MIN_FREE_BYTES refuses parts while that much is still free."""
    floor = 24 * MIB
    with set_stage(place, PORTAL_MIN_FREE_BYTES=str(floor)) as stage:
        with ballast(stage.disk, leave=floor + 6 * MIB):
            stage.crowd.send_until_refused(FULL)
            # What was under way at that moment, four parts at most, may lie below it.
            free = shutil.disk_usage(stage.disk.path).free
            stage.crowd.expect(free > floor - 3 * MIB, f"the floor is kept: {free} bytes are free")
        stage.crowd.finish()


def finalize_waits_for_room(place):
    """A finalize that finds the disk full ends in STORED when there is room, and not in FAILED."""
    with set_stage(place) as stage:
        stage.crowd.send_all(files=6)
        with ballast(stage.disk):
            stage.crowd.finalize_all()
            # The worker tries, and finds no room for the folder of an object.
            time.sleep(2)
            stage.crowd.expect(not stage.portal.ended(), "server and worker live on")
            stage.crowd.reads_are_answered()
        stage.crowd.finish()


def database_is_full(place):
    """The file system of an SQLite database is full: writes wait, reads go on."""
    if place[1] != "sqlite":
        return
    with set_stage(place, database_there=True) as stage:
        stage.crowd.send_all(files=1)
        stage.crowd.finalize_all()
        with ballast(stage.disk):
            stage.crowd.send_until_refused(NO_DATABASE)
            stage.crowd.reads_are_answered()
        stage.crowd.finish()


def disk_is_read_only(place):
    """The disk of the bytes becomes read-only, as ext4 makes itself after an error, and can be written again."""
    # No disk can be made read-only on which a file is open to be written, as that of the counts is.
    with set_stage(place, counts_there=False) as stage:
        stage.crowd.send_all(files=1)
        stage.crowd.finalize_all()
        stage.disk.read_only()
        stage.crowd.send_until_refused(FAILING)
        stage.crowd.reads_are_answered()
        stage.crowd.expect(ask(f"{stage.portal.url}/readyz")[0] == 503, "/readyz says 503")
        stage.disk.read_only(False)
        stage.crowd.finish()


def start_says_why(place):
    """On a disk that cannot be written the portal does not start, and says why without a traceback."""
    with set_stage(place, database_there=place[1] == "sqlite") as stage:
        stage.portal.stop()
        stage.disk.read_only()
        try:
            said = f"nothing: {stage.portal.manage('run_portal', '--port', str(stage.portal.port))}"
        except ServerFailed as error:
            said = str(error)
        stage.crowd.expect("Read-only" in said and "Traceback" not in said, f"it says why: {said[-400:]}")
        stage.disk.read_only(False)
        stage.portal.start()
        stage.crowd.close()
        stage.crowd.send_all(files=1)
        stage.crowd.finish()


CASES = (
    memory_is_full,
    disk_is_full,
    aborting_makes_room,
    floor_is_kept,
    finalize_waits_for_room,
    database_is_full,
    disk_is_read_only,
    start_says_why,
)


def run_case(case, database):
    """Run one case; return the ClientLog with its faults. Raises NoDisk."""
    log = ClientLog(EXCUSED)
    with tempfile.TemporaryDirectory(prefix="portal-full-", dir="/var/tmp") as folder:
        case((Path(folder), database, log))
    return log


def main():
    """Read the arguments, run the cases, write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.full_disks", description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=[case.__name__ for case in CASES], help="only this (all)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(sqlite)")
    parser.add_argument("--report", type=Path, help="write a report in Markdown to this file")
    options = parser.parse_args()
    began, logs = time.monotonic(), {}
    try:
        for case in CASES:
            if not options.case or case.__name__ in options.case:
                log = logs[case] = run_case(case, options.database)
                print(f"{case.__name__}: {dict(log.done)}, {len(log.faults)} faults", flush=True)
    except NoDisk as error:
        print(f"Skipped: {error}", file=sys.stderr)
        return 2
    if options.report:
        write_cases(options, logs, time.monotonic() - began)
    faults = [f"{case.__name__}: {fault}" for case, log in logs.items() for fault in log.faults]
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(logs)} cases, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Power cuts at random moments under a mixed load, on file systems of our own, and a judge over what is left.

    python -m tests.crashes.power_cuts --rounds 60 --filesystem xfs --database postgresql --database-on other

Exits with 1 when anything that was acknowledged was lost, with 2 where nothing can be mounted. With the database on
another file system both lose their power, one a moment after the other.
"""

import argparse
import contextlib
import os
import random
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.crashes.disks import LoopDisk, NoDisk, prove_cuts
from tests.crashes.kills import run_kills
from tests.crashes.line import TRY_AGAIN
from tests.crashes.mortal import SERVER, WORKER, MortalPortal
from tests.crashes.report import write_report
from tests.databases import new_database, own_database
from tests.family import family, freeze
from tests.postgres import Postgres

#: Between the cut and the kill the processes find that their disk has gone, and say so.
EXCUSED = (*TRY_AGAIN, "storage_unavailable", "insufficient_storage")
CUT = "the power goes at a random moment, mount, start again, judge."


class PoweredPortal(MortalPortal):
    """A MortalPortal whose `strike` cuts the power of `disks`, in any order, and of `postgres` if that is on one."""

    def __init__(self, disks, *, log_folder, dice, postgres=None, **options):
        super().__init__(disks[0].path / "data", **options)
        # What it says is for us, and not on a disk that fails.
        self.log = Path(log_folder) / "server.log"
        self.disks, self.dice, self.postgres = disks, dice, postgres

    def strike(self, *_):
        """Cut the power of everything, and mount again what then is there."""
        # A processor loses its power too: nobody may act on what a call says after the cut. ext4 lets an fdatasync
        # that is under way succeed then, though its bytes are lost.
        processes = [*self.processes, *([self.postgres.process] if self.postgres else [])]
        freeze(family(*(process.pid for process in processes)))
        for disk in self.dice.sample(self.disks, len(self.disks)):
            disk.cut_power()
        super().strike(SERVER, WORKER)
        if self.postgres:
            self.postgres.strike()
        for disk in self.disks:
            disk.unmount()
            disk.mount()
        if self.postgres:
            self.postgres.revive()


@contextlib.contextmanager
def powered_portal(folder, *, filesystem, database, database_on, seed):
    """Give a PoweredPortal that is up; raises NoDisk where nothing can be mounted, AssertionError where no cut cuts."""
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(LoopDisk(folder, "data", filesystem=filesystem))]
        if database_on == "other":
            disks.append(stack.enter_context(LoopDisk(folder, "database", filesystem=filesystem)))
        for disk in disks:
            prove_cuts(disk)
            # PostgreSQL is not root, and must reach its folder.
            disk.path.chmod(0o755)
        options = {"log_folder": folder, "dice": random.Random(f"{seed} cuts")}
        if database == "postgresql":
            postgres = Postgres(disks[-1].path)
            url = stack.enter_context(postgres)
            url = stack.enter_context(own_database(url))
            options |= {"postgres": postgres, "database_url": url}
        else:
            options["database_url"] = stack.enter_context(new_database("sqlite", disks[-1].path))
        portal = PoweredPortal(disks, **options)
        stack.enter_context(portal)
        # The tables, the token and the folders are set-up, and no part of what is tried.
        os.sync()
        yield portal


def run_cuts(portal, **options):
    """Run the load and cut the power round after round, as `run_kills` does; return its Outcome."""
    return run_kills(portal, victims={(SERVER, WORKER): 1}, excused=EXCUSED, **options)


def main():
    """Read the arguments, run, write the report; 1 when there was a fault, 2 when nothing can be mounted."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.power_cuts", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="how many cuts (60)")
    parser.add_argument("--clients", type=int, default=8, help="how many clients at once (8)")
    parser.add_argument("--filesystem", choices=["ext4", "xfs"], default="ext4", help="(ext4)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(sqlite)")
    parser.add_argument("--database-on", choices=["same", "other"], default="same", help="file system as the bytes")
    parser.add_argument("--seed", default=str(secrets.randbelow(10**9)), help="of the dice (by chance)")
    parser.add_argument("--report", type=Path, help="write a report in Markdown to this file")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="portal-cuts-", dir="/var/tmp"))
    # PostgreSQL is not root, and must reach its disk below.
    folder.chmod(0o755)
    place = {"filesystem": options.filesystem, "database": options.database, "database_on": options.database_on}
    try:
        with powered_portal(folder, **place, seed=options.seed) as portal:
            outcome = run_cuts(
                portal,
                rounds=options.rounds,
                clients=options.clients,
                seed=options.seed,
                progress=lambda line: print(line, flush=True),
            )
    except NoDisk as error:
        print(f"Skipped: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder)
    if options.report:
        where = f"{options.filesystem}, {options.database} on the {options.database_on} file system"
        write_report(options, outcome, name="power_cuts", title="Power cuts", where=where, round_is=CUT)
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    if outcome.faults:
        print(f"The end of the log:\n{outcome.log_tail}")
    print(f"{outcome.rounds} rounds in {outcome.seconds:.0f} s, {len(outcome.faults)} faults")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())

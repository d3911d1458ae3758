"""Power cuts at random moments: what was acknowledged is on the disk, and nothing else is needed to go on."""

import tempfile
from pathlib import Path

import pytest
from django.db import connection

from tests.crashes.disks import NoDisk
from tests.crashes.power_cuts import powered_portal, run_cuts
from tests.rounds import FULL, SEED

ROUNDS, CLIENTS = 30 if FULL else 3, 4

#: Its database is copied where this run has one to copy.
pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.mark.parametrize(("filesystem", "database_on"), [("ext4", "other"), ("xfs", "same")])
def test_nothing_acknowledged_is_lost_when_the_power_goes(filesystem, database_on):
    # PostgreSQL is not root, and must reach its disk below.
    with tempfile.TemporaryDirectory(prefix="portal-cuts-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        place = {"filesystem": filesystem, "database": connection.vendor, "database_on": database_on}
        try:
            with powered_portal(folder, **place, seed=SEED) as portal:
                outcome = run_cuts(portal, rounds=ROUNDS, clients=CLIENTS, seed=SEED)
        except NoDisk as error:
            # Also where CI is set: whoever runs in a container may not mount, whatever is installed.
            pytest.skip(f"no file system of our own: {error}")
    assert not outcome.faults, "\n".join([*outcome.faults, "The end of the log:", outcome.log_tail])
    assert min(outcome.done[what] for what in ("parts", "STORED")) > 0

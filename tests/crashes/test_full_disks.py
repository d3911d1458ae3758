"""Disks that are full, or read-only: refused with a reason, nothing lost, recovered without a person."""

import pytest
from django.db import connection

from tests.crashes import full_disks
from tests.crashes.disks import NoDisk
from tests.rounds import FULL

#: A server of PostgreSQL has a disk of its own; the slower cases are for the full counts.
ALONE = {"database_is_full"} if connection.vendor == "sqlite" else set()
QUICK = {"disk_is_full", "disk_is_read_only", "start_says_why"}
NAMES = {case.__name__ for case in full_disks.CASES} - {"database_is_full"} if FULL else QUICK

#: Its database is copied where this run has one to copy.
pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.mark.parametrize("name", sorted(NAMES | ALONE))
def test_nothing_is_lost_and_nobody_is_needed(name):
    try:
        log = full_disks.run_case(getattr(full_disks, name), connection.vendor)
    except NoDisk as error:
        # Also where CI is set: whoever runs in a container may not mount, whatever is installed.
        pytest.skip(f"no file system of our own: {error}")
    assert not log.faults
    assert log.done["STORED"] > 0

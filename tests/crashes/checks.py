"""The checks that are to find a seeded bug: commands, run in a copy of the project, whose exit code tells."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

from tests.server import OURS

#: What each check runs, as arguments of Python; `{database}` is filled in. On PostgreSQL pytest gets one of its own.
CHECKS = {
    "call_order": "-m tests.crashes.call_order --database {database}",
    "every_call open": "-m tests.crashes.every_call --database {database} --stop --changes-only --operation open",
    "every_call part-over": "-m tests.crashes.every_call --database {database} --stop --changes-only "
    "--operation part-over --kind kill",
    "every_call finalize": "-m tests.crashes.every_call --database {database} --stop --changes-only "
    "--operation finalize --kind kill",
    "kills": "-m tests.crashes.kills --database {database} --rounds 40 --clients 8",
    "power_cuts": "-m tests.crashes.power_cuts --rounds 30 --database {database} --database-on other",
    "races": "-m pytest -q -x -p no:cacheprovider tests/races",
    "services": "-m pytest -q -x -p no:cacheprovider tests/services",
    "storage": "-m pytest -q -x -p no:cacheprovider tests/storage",
}
#: How each says how far it came: rounds of kills, points of a sweep, tests.
TOLD = re.compile(r"^(\d+ (?:rounds|points)) |(\d+ passed)", re.MULTILINE)
SECONDS = 900
FOUND, GREEN, SKIPPED = "found", "green", "skipped"


@dataclass(frozen=True)
class Verdict:
    """What a check said of a copy: FOUND, GREEN or SKIPPED, after how much, and the line that names the fault."""

    kind: str
    after: str
    why: str = ""


def run_check(name, database, tree):
    """Run one check in the copy `tree`; return its Verdict."""
    arguments = CHECKS[name].format(database=database).split()
    if arguments[1].startswith("tests.crashes") and not (tree / f"{arguments[1].replace('.', '/')}.py").exists():
        return Verdict(SKIPPED, "not there")
    command = [sys.executable, *arguments]
    if "pytest" in arguments and database == "postgresql":
        command = [sys.executable, "-m", "tests.postgres", "--", *command]
    env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    given = os.environ.get("PORTAL_TEST_DATABASE_URL")
    env |= {"PORTAL_TEST_DATABASE_URL": given} if given else {}
    env |= {"PORTAL_DATA_DIR": str(tree / "var"), "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Verdict(FOUND, f"{SECONDS} s", "never ended")
    said = done.stdout + done.stderr
    told = [max(groups, key=len) for groups in TOLD.findall(said)]
    after = f"{told[-1] if told else 'at once'}, {time.monotonic() - began:.0f} s"
    if done.returncode == 0:
        return Verdict(GREEN, after)
    if done.returncode == 2 and "Skipped" in said:
        return Verdict(SKIPPED, after)
    return Verdict(FOUND, after, _why(said))


def _why(said):
    for pattern in (r"^(?:FAULT|FINDING) (.*)", r"^FAILED (\S+)", r"^ERROR (\S+)", r"^(\S.*)\n*\Z"):
        found = re.search(pattern, said, re.MULTILINE)
        if found:
            return found[1]
    return "no word"

"""Tests that can fail: bugs are put into a copy of the project, one at a time, and each must be found.

    python -m tests.crashes.seeded_bugs --report FILE

Exits with 1 when a bug was found by none of its checks, or a check finds something where no bug was seeded.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.crashes.bugs import BUGS, Bug, seed
from tests.crashes.checks import CHECKS, FOUND, SKIPPED, run_check
from tests.crashes.report import command_line, when_and_where
from tests.server import ROOT

#: A folder of a run, which nobody finds again.
TEMPORARY = re.compile(r"/[\w./-]*/portal-(?:calls|bug)-\w+/")
COPIED = "boot portal tests manage.py pyproject.toml README.md".split()
NO_BUG = Bug("no bug", (), tuple(sorted({check for bug in BUGS for check in bug.checks})))


def copy_project(tree):
    """Copy what runs into `tree`; refuses when Python would still take the code from elsewhere."""
    for name in COPIED:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__", "reports")
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy(source, tree / name)
    asked = [sys.executable, "-c", "import portal, tests; print(portal.__file__)"]
    where = subprocess.run(asked, cwd=tree, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(where).is_relative_to(tree):
        raise RuntimeError(f"the copy in {tree} would run the code in {where}")


def try_bug(bug, *, thorough=False, skip=(), progress=lambda line: None):
    """Seed the bug and run its checks; return `[(check, database, verdict), …]`.

    Unless `thorough`, a database gets no further check once its bug has been found there.
    """
    verdicts, found = [], set()
    with tempfile.TemporaryDirectory(prefix="portal-bug-") as folder:
        tree = Path(folder).resolve()
        copy_project(tree)
        seed(bug, tree)
        for check, database in bug.checks:
            if check in skip or (database in found and not thorough):
                continue
            verdict = run_check(check, database, tree)
            progress(f"{bug.name}: {check} on {database}: {verdict.kind} after {verdict.after} {verdict.why[:120]}")
            verdicts.append((check, database, verdict))
            if verdict.kind == FOUND:
                found.add(database)
    return verdicts


def write_report(path, results, seconds):
    """Write the table of bugs and checks in Markdown."""
    lines = ["# Seeded bugs", "", command_line("seeded_bugs"), "", when_and_where(seconds), ""]
    lines += ["| bug | check | database | says | after | what it saw |", "| --- | --- | --- | --- | --- | --- |"]
    for bug, verdicts in results:
        for check, database, verdict in verdicts:
            why = TEMPORARY.sub("…/", " ".join(verdict.why.split()))[:160].replace("|", "/")
            lines.append(f"| {bug.name} | {check} | {database} | {verdict.kind} | {verdict.after} | {why} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    """Read the arguments, try all bugs, print and write the table; 1 when one was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.seeded_bugs", description=__doc__.splitlines()[0])
    parser.add_argument("--bug", action="append", help="only bugs whose name has this text (all)")
    parser.add_argument("--thorough", action="store_true", help="run every check of a bug, also after it was found")
    parser.add_argument("--skip", action="append", default=[], choices=list(CHECKS), help="leave a check out")
    parser.add_argument("--report", type=Path, help="write a report in Markdown to this file")
    options = parser.parse_args()
    began, results, wrong = time.monotonic(), [], []
    for bug in (*BUGS, NO_BUG):
        if options.bug and not any(text in bug.name for text in options.bug):
            continue
        verdicts = try_bug(
            bug,
            thorough=options.thorough or bug is NO_BUG,
            skip=options.skip,
            progress=lambda line: print(line, flush=True),
        )
        results.append((bug, verdicts))
        found = any(verdict.kind == FOUND for _, _, verdict in verdicts)
        ran = any(verdict.kind != SKIPPED for _, _, verdict in verdicts)
        if found == (bug is NO_BUG) or not ran:
            wrong.append(bug.name)
    if options.report:
        write_report(options.report, results, time.monotonic() - began)
    for name in wrong:
        print(f"FAULT {name}: {'a check finds something' if name == NO_BUG.name else 'no check finds it'}")
    print(f"{len(results)} copies tried, {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

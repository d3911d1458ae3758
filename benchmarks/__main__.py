"""`python -m benchmarks [names…]`: ask the questions, print a line for each figure, write RESULTS.md."""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import results
from benchmarks.measure import describe_machine, say
from benchmarks.peers import TOOLS

#: In the order of their numbers; each module has a docstring that says the question, and `measure(run)`.
QUESTIONS = (
    "uploads",
    "finalize",
    "memory",
    "batches",
    "lists",
    "requests_rate",
    "slow_clients",
    "events",
    "s3",
    "scale",
    "many_files",
    "folders",
    "event_cost",
)


@dataclass
class Run:
    """What the caller asked for: how many rounds, small or whole, where the data goes."""

    rounds: int
    quick: bool
    folder: Path
    #: Files of question 12; 0: its own number.
    files: int = 0


def read_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the portal against others in the same run. Takes about an hour; --quick a few minutes.",
        epilog="Questions: " + "; ".join(f"{name}: {_load(name).__doc__.splitlines()[0]}" for name in QUESTIONS),
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"which of {', '.join(QUESTIONS)} (all)")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each contestant (5; 2 with --quick)")
    parser.add_argument("--files", type=int, default=0, help="files that many_files sends (2,000; 200 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small data and few rounds; RESULTS.md is left alone")
    parser.add_argument(
        "--folder", type=Path, default=TOOLS, help="where the data goes, but for PostgreSQL's (.venv/benchmarks)"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(QUESTIONS)
    if unknown:
        parser.error(f"there is no question {', '.join(sorted(unknown))}")
    return options


def _load(name):
    return importlib.import_module(f"benchmarks.{name}")


def main():
    """Ask; return 0 when all was measured, also when a bound was missed: that is a result."""
    options = read_arguments()
    names = [name for name in QUESTIONS if not options.names or name in options.names]
    options.folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(options.folder)
    say(f"{machine}; load {os.getloadavg()[0]:.1f}")
    for number, name in enumerate(names, 1):
        question = _load(name)
        say(f"\n[{number}/{len(names)}] {name}: {question.__doc__.splitlines()[0]}")
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=options.folder))
        started, load = time.time(), os.getloadavg()[0]
        try:
            run = Run(options.rounds or (2 if options.quick else 5), options.quick, folder, options.files)
            answer = question.measure(run)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        for figure in answer.figures:
            say(figure.line())
        for note in answer.notes:
            say(f"    {note}")
        if not options.quick:
            results.write(question, answer, run=run, machine=machine, started=started, load=load)
    return 0


if __name__ == "__main__":
    sys.exit(main())

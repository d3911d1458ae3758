"""Question 14: Cost of a finalize with its event against the same finalize without.

A file of one small part in a batch, as the service does it: nothing of HTTP, next to no hash. Without means that no
event is made, no row of it is written, and no worker is told.
"""

import subprocess
import sys

import orjson

from benchmarks.databases import own_postgres
from benchmarks.measure import Answer, median, say
from benchmarks.peers import ROOT, Missing
from benchmarks.servers import Portal

BOUND = 1.15
KINDS = {"cpu": "CPU of the process", "wall": "wall", "statements": "wall of its statements alone"}


def measure(run):
    """Return the Answer for both databases."""
    answer, count = Answer(), (50 if run.quick else 150)
    with Portal(run.folder / "sqlite") as portal:
        compare(answer, "SQLite", portal, count, run.rounds)
    try:
        with own_postgres() as url, Portal(run.folder / "postgres", database_url=url) as portal:
            compare(answer, "PostgreSQL", portal, count, run.rounds)
    except Missing as error:
        answer.skip(str(error))
    return answer


def compare(answer, database, portal, count, rounds):
    """Add the ratios of one database, each the median of those of the rounds."""
    seen = []
    for number in range(1, rounds + 1):
        seen.append(finalizes(portal, count))
        shown = "  ".join(f"{kind} {with_it:.3f}/{without:.3f}" for kind, (with_it, without) in seen[-1].items())
        say(f"    round {number}/{rounds}  {database:12} {shown}")
    for kind, words in KINDS.items():
        ratio = median([with_it / without for with_it, without in (figures[kind] for figures in seen)])
        with_it, without = (median([figures[kind][place] for figures in seen]) for place in range(2))
        # A statement more is a statement more: what it may cost is a share of the whole finalize.
        bound = None if kind == "statements" else BOUND
        detail = f"{with_it:.2f} ms against {without:.2f}"
        answer.add(f"{database}: finalize with its event / without, {words}", ratio, bound, detail=detail)


def finalizes(portal, count):
    """Return for each of KINDS what the two take, in milliseconds, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.event_cost_time", str(count)]
    done = subprocess.run(command, cwd=ROOT, env=portal.env, check=True, capture_output=True)
    return orjson.loads(done.stdout)

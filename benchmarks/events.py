"""Question 9: Events delivered a second by one worker to a fast receiver, and on PostgreSQL by two.

And a claim of what is due while 1,000,000 deliveries that are done lie beside it, against the same claim without them.
"""

import os
import subprocess
import sys

import orjson

from benchmarks.databases import EVENT_TABLES, fill_deliveries, new_database, own_postgres, vacuum
from benchmarks.measure import Answer, Spent, alternate, median, say
from benchmarks.peers import ROOT, Missing
from benchmarks.servers import EventReceiver, Portal

TWO_WORKERS = 1.7
FLAT = 1.2
#: Rounds of claims for each round of events.
CLAIM_ROUNDS = 6
#: What is timed lies between these shares of the events: a worker takes a second to start.
FROM, TO = 0.1, 0.9
TRIED = """
Missed, what was tried, and why. Two workers, the database and the receiver share two cores here, and beside other
work a ratio of rates is one of what each is let have: what an event costs in CPU is less moved by it. That went from
3.7 to 4.4 ms (worker 2.8 to 3.3, receiver 0.4, database 0.6 to 1.1 and growing with the events there were) to 1.2 to
1.4 (worker 0.8 to 1.0, receiver 0.1, database 0.3): no thread for each message and none for the look-up of an
address, statements made once, and no look at every event to see that none is left to hand out, nor at all that is due
to claim sixteen. The receiver takes one request after the other now, in place of asyncio's 0.25 ms for each. A claim
beside 1,000,000 that are done is as quick as one beside none: of fifteen processes each on SQLite the quickest took
0.94 ms both ways, while the slowest took 1.9. A process is quick or slow as a whole here, so that medians of such
were 1.00 and 1.55 times in two runs; now one process of each kind is asked in turn, for twenty claims at a time.
"""
EVENTS = """
from django.contrib.auth import get_user_model
from portal.models import OutboxEvent
payload = {{"event_type": "file.uploaded", "file": {{"filename": "name of a file.bin", "sha256": "0" * 64}}}}
owner = get_user_model().objects.get(username="bench")
rows = [OutboxEvent(owner=owner, event_type="file.uploaded", payload=payload) for _ in range({count})]
for row in rows:
    row.subject_id = row.pk
OutboxEvent.objects.bulk_create(rows, batch_size=500)
"""


def measure(run):
    """Return the Answer for both databases."""
    answer = Answer()
    with EventReceiver(run.folder) as receiver:
        env = {"PORTAL_RUNNER_ENDPOINT": f"{receiver.url}/"}
        compare(answer, "SQLite", run, receiver, env)
        try:
            with own_postgres() as url:
                compare(answer, "PostgreSQL", run, receiver, env, urls=[url, new_database(url, "beside")])
        except Missing as error:
            answer.skip(str(error))
    return answer


def compare(answer, database, run, receiver, env, *, urls=(None, None)):
    """Add the figures of one database; claims are timed in two of them in turn, one with what is done beside."""
    first, second = urls
    with Portal(run.folder / database, database_url=first, env=env) as portal:
        deliver(answer, database, portal, receiver, 500 if run.quick else 4000, run.rounds, two=bool(first))
        with Portal(run.folder / f"{database}-beside", database_url=second, env=env) as other:
            claim(answer, database, portal, other, 50_000 if run.quick else 1_000_000, run.rounds)


def deliver(answer, database, portal, receiver, count, rounds, *, two=False):
    """Add the rates of one database."""
    contestants = {"one worker": lambda: rate_of(portal, receiver, count, 1)}
    if two:
        contestants["two workers"] = lambda: rate_of(portal, receiver, count, 2)
    seen = alternate(contestants, rounds)
    one = median(seen["one worker"]["rate"])
    detail = f"{median(seen['one worker']['cpu ms']):.2f} ms of the worker's CPU each"
    answer.add(f"{database}: events a second by one worker", one, unit="/s", detail=detail)
    if two:
        both = median(seen["two workers"]["rate"])
        detail = f"{both:.0f} a second against {one:.0f}; receiver and database on the same cores"
        answer.add(
            f"{database}: events a second, two workers / one", both / one, TWO_WORKERS, at="least", detail=detail
        )


def rate_of(portal, receiver, count, workers):
    """Make `count` events and start so many workers; return how fast what lies between FROM and TO arrived."""
    portal.manage("shell", "--no-imports", "-c", EVENTS.format(count=count))
    before, started = receiver.count(), [portal.start_worker() for _ in range(workers)]
    try:
        receiver.wait_for(before + int(FROM * count))
        with Spent(*(process.pid for process in started)) as spent:
            first = receiver.count()
            last = receiver.wait_for(before + int(TO * count))
        receiver.wait_for(before + count)
    finally:
        for process in started:
            process.terminate()
            process.wait()
    return {"rate": (last - first) / spent.wall, "cpu ms": spent.cpu / (last - first) * 1000}


def claim(answer, database, portal, other, beside, rounds):
    """Add how much slower a claim is beside so many deliveries that are done."""
    vacuum(portal.database_url, *EVENT_TABLES)  # what the rates have left behind
    with Claims(other):
        pass  # notes the endpoint
    say(f"    {database}: making {beside:,} deliveries")
    fill_deliveries(other.database_url, beside)
    with Claims(portal) as few, Claims(other) as many:
        # Both are ready and the disk is at rest. Turns are so short that what else the machine does hits both.
        os.sync()
        contestants = {"none beside": few.ask, f"{beside:,} beside": many.ask}
        seen = alternate(contestants, CLAIM_ROUNDS * rounds)
    alone, crowded = (median(figures["ms"]) for figures in seen.values())
    detail = f"{crowded:.2f} ms against {alone:.2f}"
    answer.add(f"{database}: a claim beside {beside:,} done / none", crowded / alone, FLAT, detail=detail)


class Claims:
    """A process beside a portal in whose database deliveries wait, and which claims some of them when it is asked."""

    def __init__(self, portal):
        command = [sys.executable, "-m", "benchmarks.claim_time"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, cwd=ROOT, env=portal.env, **pipes)

    def __enter__(self):
        self._read()
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        if self._process.wait():
            raise RuntimeError("the process that claims failed")

    def ask(self):
        """Return what a claim takes, `{"ms": milliseconds}`."""
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return {"ms": self._read()}

    def _read(self):
        return orjson.loads(self._process.stdout.readline())

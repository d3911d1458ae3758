"""Load for a long time with faults on the line and at the receiver: nothing is lost, and nothing grows.

    python -m tests.crashes.soak --minutes 60 --database postgresql --clients 8

Prints a report; exits with 1 when a promise was broken, or memory or descriptors grew.
"""

import argparse
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.crashes.judge import Judge
from tests.crashes.kills import settle
from tests.crashes.line import TRY_AGAIN, Line, Lost
from tests.crashes.load import Client
from tests.crashes.mortal import SERVER, WORKER, MortalPortal
from tests.crashes.uploads import ClientLog
from tests.databases import new_database
from tests.family import family
from tests.receiver import SECRET, Receiver
from tests.s3_proxy import FaultProxy

#: What is done to so many of the requests and messages.
SHARE = 0.01
ON_THE_LINE = ("delay", "reset", "cut_request", "cut_answer", "lost")
AT_THE_RECEIVER = ("error", "busy", "reset", "garbage")
#: At the end there may be so much of what there was after a sixth of the time; that many descriptors more.
GROWTH, MORE_DESCRIPTORS = 1.10, 16
#: A part of each run whose samples are taken together: one alone says what a garbage collector did.
WINDOW = 1 / 12
DELIVERY_SECONDS = 60


@dataclass
class Sample:
    """What the processes of one name held at one moment: resident bytes, open descriptors."""

    at: float
    resident: int
    descriptors: int


@dataclass
class Soak:
    """What a run did and found; `samples` by the name of the process."""

    seconds: float
    faults: list
    done: Counter
    statuses: Counter
    hit: Counter
    events: int = 0
    samples: dict = field(default_factory=dict)

    def growth(self, name):
        """Return `(resident, descriptors)` after a sixth of the time and at the end, as pairs."""
        found, whole = self.samples[name], self.samples[name][-1].at
        early = [sample for sample in found if whole / 6 <= sample.at <= whole * (1 / 6 + WINDOW)]
        late = [sample for sample in found if sample.at >= whole * (1 - WINDOW)]
        return [
            (statistics.median(early), statistics.median(late))
            for early, late in (
                ([sample.resident for sample in early], [sample.resident for sample in late]),
                ([sample.descriptors for sample in early], [sample.descriptors for sample in late]),
            )
        ]


def hold_of(pid, at):
    """Return the Sample of a process and all that it started."""
    resident = descriptors = 0
    for one in family(pid):
        try:
            pages = int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
            descriptors += sum(1 for _ in Path(f"/proc/{one}/fd").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
        resident += pages * os.sysconf("SC_PAGE_SIZE")
    return Sample(at, resident, descriptors)


def run_soak(folder, database_url, *, seconds, clients, seed, pause=0, progress=lambda line: None):
    """Run the load for so long on a portal of its own, clients thinking for `pause` seconds; return the Soak."""
    dice, hit = random.Random(f"{seed} soak"), Counter()

    def misbehave(kinds, otherwise):
        fault = dice.choice(kinds) if dice.random() < SHARE else otherwise
        if fault != otherwise:
            hit[fault] += 1
        return fault

    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(lambda received: misbehave(AT_THE_RECEIVER, "ok")))
        env = {"PORTAL_RUNNER_ENDPOINT": receiver.url, "PORTAL_RUNNER_SECRET": SECRET}
        env |= {"PORTAL_OUTBOX_BASE_DELAY_SECONDS": "1", "PORTAL_OUTBOX_MAX_DELAY_SECONDS": "5"}
        portal = stack.enter_context(MortalPortal(folder, database_url=database_url, env=env))
        proxy = stack.enter_context(FaultProxy(portal.url))
        proxy.plan = lambda number, method, path: misbehave(ON_THE_LINE, None)
        token, log = portal.create_token("ann"), ClientLog(TRY_AGAIN)
        line = Line(portal.url, token, log.fault, TRY_AGAIN)
        judge = Judge(portal, line, log)
        batch_id = line.ask("POST", "/batches", {"name": "soak"}).members["id"]
        shared = {"log": log, "batch_id": batch_id, "pause": pause}
        crowd = [
            Client(f"client {n}", proxy.endpoint, token, dice=random.Random(f"{seed} {n}"), **shared)
            for n in range(clients)
        ]
        found = Soak(seconds, log.faults, log.done, Counter(), hit, samples={SERVER: [], WORKER: []})
        for client in crowd:
            client.start()
        try:
            _watch(portal, found, log, progress)
            settle(crowd, log)
            if not log.faults:
                line.close()  # nobody has asked by it for so long that the server has let it go
                judge.judge_end(batch_id)
                _judge_deliveries(portal, receiver, log)
        except Lost:
            log.fault("the judge had no answer")
        finally:
            for client in crowd:
                client.stop()
            for client in crowd:
                client.join()
            line.close()
        found.statuses = sum((calls.line.statuses for client in crowd for calls in client.calls), Counter())
        found.events = len(set(receiver.event_ids))
    for name in found.samples:
        judge_growth(found, name)
    return found


def _watch(portal, found, log, progress):
    began, told = time.monotonic(), 0.0
    while (at := time.monotonic() - began) < found.seconds and not log.faults:
        for name, process in zip((SERVER, WORKER), portal.processes, strict=True):
            found.samples[name].append(hold_of(process.pid, at))
        for name in portal.ended():
            log.fault(f"the {name} ended by itself")
        if at - told > 60:
            told = at
            progress(f"{at / 60:.0f} min: {found.done['STORED']} stored, {sum(found.hit.values())} faults injected")
        time.sleep(min(1.0, found.seconds / 120))


def _judge_deliveries(portal, receiver, log):
    """Every event has come to the receiver, well signed, though it misbehaved."""
    wanted = {str(pk).replace("-", "") for (pk,) in portal.rows("SELECT id FROM portal_outboxevent")}
    deadline = time.monotonic() + DELIVERY_SECONDS
    while missing := wanted - {pk.replace("-", "") for pk in receiver.event_ids}:
        if time.monotonic() > deadline:
            return log.fault(f"{len(missing)} of {len(wanted)} events never came")
        time.sleep(0.2)
    if receiver.badly_signed:
        log.fault(f"{len(receiver.badly_signed)} messages were badly signed")
    return None


def judge_growth(found, name):
    """Note a fault when the process `name` holds more at the end than it may."""
    if len(found.samples[name]) < 24:
        return found.faults.append(f"too few samples of the {name}")
    (early, late), (opened, open_now) = found.growth(name)
    if late > GROWTH * early:
        found.faults.append(f"the {name} grew from {early / 2**20:.1f} to {late / 2**20:.1f} MiB")
    if open_now > opened + MORE_DESCRIPTORS:
        found.faults.append(f"the {name} had {opened:.0f} descriptors open, then {open_now:.0f}")
    return None


def describe(found):
    """Return the report as lines."""
    lines = [f"soak: {found.seconds:.0f} s, {len(found.faults)} faults found, {sum(found.hit.values())} injected"]
    lines.append("  injected: " + ", ".join(f"{kind} {count}" for kind, count in sorted(found.hit.items())))
    lines.append("  done: " + ", ".join(f"{what} {count}" for what, count in sorted(found.done.items())))
    lines.append(
        "  answers: " + ", ".join(f"{status} {count}" for status, count in sorted(found.statuses.items(), key=str))
    )
    lines.append(f"  events at the receiver: {found.events}")
    for name in found.samples:
        if found.samples[name]:
            (early, late), (opened, open_now) = found.growth(name)
            share = late / early
            lines.append(
                f"  {name}: {early / 2**20:.1f} MiB after a sixth, {late / 2**20:.1f} MiB at the end ({share:.3f} x); "
                f"descriptors {opened:.0f}, {open_now:.0f}"
            )
    return lines + [f"  FAULT: {fault}" for fault in found.faults]


def main():
    """Read the arguments, run, print the report; 1 when there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long (60)")
    parser.add_argument("--clients", type=int, default=8, help="how many clients at once (8)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(sqlite)")
    parser.add_argument("--seed", default=str(secrets.randbelow(10**9)), help="of the dice (by chance)")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="portal-soak-") as name, new_database(options.database, Path(name)) as url:
        found = run_soak(
            Path(name) / "portal",
            url,
            seconds=options.minutes * 60,
            clients=options.clients,
            seed=options.seed,
            progress=lambda line: print(line, flush=True),
        )
    print("\n".join(describe(found)))
    sys.exit(bool(found.faults))


if __name__ == "__main__":
    main()

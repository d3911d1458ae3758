"""Random kill -9 of server and worker under a mixed load, round after round, and a judge over what is left.

    python -m tests.crashes.kills --rounds 200 --database postgresql --clients 16 --report FILE

Exits with 1 when anything that was acknowledged was lost, or anything else that the portal promises was broken.
"""

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.crashes.judge import Judge
from tests.crashes.line import TRY_AGAIN, Line, Lost
from tests.crashes.load import Client
from tests.crashes.mortal import SERVER, WORKER, MortalPortal
from tests.crashes.report import write_report
from tests.crashes.uploads import ClientLog
from tests.databases import new_database

#: Who is killed, and how often.
VICTIMS = {(SERVER,): 5, (SERVER, WORKER): 3, (WORKER,): 2}
#: The longest time of peace before a kill, beside that which the judge takes.
PEACE_SECONDS = 1.0
SETTLE_SECONDS = 120


@dataclass
class Outcome:
    """What a run did and found; `statuses` counts answers, `done` what the clients did, `kills` who was killed."""

    rounds: int
    faults: list
    done: Counter
    kills: Counter
    statuses: Counter
    young: int
    seconds: float
    log_tail: str


def run_kills(portal, *, rounds, clients, seed, victims=VICTIMS, excused=TRY_AGAIN, progress=lambda line: None):
    """Run the load on a portal that is up, kill and revive it `rounds` times, and return the Outcome.

    Ends after the first round with a fault. `progress` hears one line after each round. Answers with a code of
    `excused` are no fault.
    """
    began, dice, kills = time.monotonic(), random.Random(f"{seed} kills"), Counter()
    token, log = portal.create_token("ann"), ClientLog(excused)
    line = Line(portal.url, token, log.fault, excused)
    judge = Judge(portal, line, log)
    batch_id = line.ask("POST", "/batches", {"name": "kills"}).members["id"]
    crowd = [
        Client(f"client {n}", portal.url, token, log=log, dice=random.Random(f"{seed} {n}"), batch_id=batch_id)
        for n in range(clients)
    ]
    for client in crowd:
        client.start()
    try:
        number = 0
        while number < rounds and not log.faults:
            number += 1
            last = number == rounds
            struck = (SERVER, WORKER) if last else dice.choices(list(victims), victims.values())[0]
            _one_round(portal, judge, dice, struck, last=last)
            kills[" and ".join(struck)] += 1
            progress(f"round {number}/{rounds}: {' and '.join(struck)}; {_summary(log)}")
        settle(crowd, log)
        if not log.faults:
            progress("all clients have come to an end; judging everything")
            judge.judge_end(batch_id)
    except Lost:
        log.fault("the judge had no answer, though nobody was killed")
    finally:
        for client in crowd:
            client.stop()
        for client in crowd:
            client.join(SETTLE_SECONDS)
        line.close()
    statuses = sum((calls.line.statuses for client in crowd for calls in client.calls), Counter())
    seconds = time.monotonic() - began
    return Outcome(number, log.faults, log.done, kills, statuses, judge.young, seconds, portal.log_tail())


def _one_round(portal, judge, dice, victims, *, last):
    # The moment of the kill is what is thrown for.
    time.sleep(dice.uniform(0, PEACE_SECONDS))
    for name in portal.ended():
        judge.fault(f"the {name} ended by itself")
    portal.strike(*victims)
    portal.revive()
    # Often somebody comes back a minute later: every claim of the dead has run out by then.
    if last or (len(victims) == 2 and dice.random() < 0.5):
        portal.end_leases()
    judge.line.close()
    judge.judge_round()


def settle(crowd, log):
    """Have all clients finish what they have, within SETTLE_SECONDS."""
    for client in crowd:
        client.settle()
    deadline = time.monotonic() + SETTLE_SECONDS
    while not log.faults and (busy := [client for client in crowd if client.is_alive()]):
        busy[0].join(0.1)
        if time.monotonic() > deadline:
            log.fault(f"{', '.join(client.name for client in busy)}: no end within {SETTLE_SECONDS} s")


def _summary(log):
    words = ("parts", "STORED", "ABORTED", "FAILED", "deleted")
    return ", ".join(f"{log.done[word]} {word}" for word in words) + f", {len(log.faults)} faults"


def main():
    """Read the arguments, run, write the report; 1 when there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="how many kills (200)")
    parser.add_argument("--clients", type=int, default=16, help="how many clients at once (16)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(sqlite)")
    parser.add_argument("--seed", default=str(secrets.randbelow(10**9)), help="of the dice (by chance)")
    parser.add_argument("--report", type=Path, help="write a report in Markdown to this file")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="portal-kills-"))
    with new_database(options.database, folder) as url, MortalPortal(folder, database_url=url) as portal:
        outcome = run_kills(
            portal,
            rounds=options.rounds,
            clients=options.clients,
            seed=options.seed,
            progress=lambda line: print(line, flush=True),
        )
    if options.report:
        write_report(options, outcome)
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    if outcome.faults:
        print(f"The end of the log:\n{outcome.log_tail}\nThe data is kept in {folder}.")
    else:
        shutil.rmtree(folder)
    print(f"{outcome.rounds} rounds in {outcome.seconds:.0f} s, {len(outcome.faults)} faults")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())

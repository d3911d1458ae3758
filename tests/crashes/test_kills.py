"""kill -9 at random moments: whatever was acknowledged is there afterwards, and nothing is counted twice."""

from tests.crashes.kills import run_kills
from tests.crashes.mortal import MortalPortal
from tests.rounds import SEED, rounds

CLIENTS = 4


def test_nothing_acknowledged_is_lost_when_server_and_worker_are_killed(tmp_path, fresh_database):
    with fresh_database() as url, MortalPortal(tmp_path, database_url=url) as portal:
        outcome = run_kills(portal, rounds=rounds(200), clients=CLIENTS, seed=SEED)
    assert not outcome.faults, "\n".join([*outcome.faults, "The end of the log:", outcome.log_tail])
    # A run in which nothing was under way would have proved nothing.
    assert outcome.statuses["lost"] >= outcome.rounds
    assert min(outcome.done[what] for what in ("parts", "STORED", "ABORTED", "deleted", "conflicts")) > 0

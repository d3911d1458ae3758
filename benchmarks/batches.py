"""Question 4: Finalizes a second through HTTP into one batch by 8 clients, against the same into 8 batches.

On SQLite, on PostgreSQL, and on PostgreSQL whose commits wait 2 ms for a disk; with what pgbench reaches there by the
same statements. The files are empty, so that nothing but the call itself and its transactions is measured.
"""

import os

from benchmarks.client import ask, run_all
from benchmarks.databases import delay_commits, own_postgres
from benchmarks.measure import Answer, Spent, alternate, median
from benchmarks.peers import Missing, find_pgbench
from benchmarks.pgbench import finalize_by_pgbench
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal

CLIENTS = 8
BOUND = 0.5
DISK_MICROSECONDS = 2000


def measure(run):
    """Return the Answer for the three databases."""
    answer, count = Answer(), (10 if run.quick else 60)
    # SQLite has one writer in a process, and is for one process; PostgreSQL gets one for each core.
    with Portal(run.folder / "sqlite") as portal:
        compare(answer, "SQLite", portal, count, run.rounds)
    try:
        with own_postgres() as url:
            folder, options = run.folder / "postgres", {"database_url": url, "workers": os.cpu_count()}
            with Portal(folder, **options) as portal:
                compare(answer, "PostgreSQL", portal, count, run.rounds)
                delay_commits(url, DISK_MICROSECONDS)
                compare(answer, "PostgreSQL, 2 ms disk", portal, count, run.rounds)
    except Missing as error:
        answer.skip(str(error))
    return answer


def compare(answer, database, portal, count, rounds):
    """Add the figures of one database."""
    contestants = {
        "one batch": lambda: finalize_over_http(portal, 1, count),
        "8 batches": lambda: finalize_over_http(portal, CLIENTS, count),
    }
    if portal.database_url.startswith("postgres"):
        try:
            pgbench = find_pgbench()
        except Missing as error:
            answer.skip(str(error))
        else:
            for batches, name in ((1, "pgbench, one"), (CLIENTS, "pgbench, 8")):
                contestants[name] = lambda batches=batches: finalize_by_pgbench(
                    pgbench, portal.database_url, batches=batches, clients=CLIENTS, count=4 * count
                )
    rates = {name: median(seen["rate"]) for name, seen in alternate(contestants, rounds).items()}
    one, many = rates["one batch"], rates["8 batches"]
    detail = f"{one:.0f} a second against {many:.0f}"
    answer.add(f"{database}: finalizes a second, one batch / 8 batches", one / many, BOUND, at="least", detail=detail)
    if "pgbench, one" in rates:
        other, others = rates["pgbench, one"], rates["pgbench, 8"]
        detail = f"{other:.0f} a second against {others:.0f}"
        answer.add(f"{database}: pgbench, the same statements, one batch / 8", other / others, detail=detail)
        answer.add(f"{database}: portal / pgbench, one batch", one / other, detail=f"8 batches: {many / others:.2f}")


def finalize_over_http(portal, batches, count):
    """Open `count` empty files for each of 8 clients in so many batches; return the rate of their finalizes."""
    api = PortalApi(portal)
    names = [api.make_batch()["id"] for _ in range(batches)]
    sessions = [
        [api.open_session(0, batch_id=names[client % batches])["session_id"] for _ in range(count)]
        for client in range(CLIENTS)
    ]

    def finalize(ids):
        return lambda client: [ask(client, "POST", f"/uploads/sessions/{id_}/finalize", expected=(200,)) for id_ in ids]

    with Spent(portal.pid) as spent:
        run_all(portal.url, [finalize(ids) for ids in sessions], connections=CLIENTS, token=portal.token)
    stored = sum(api.get(f"/batches/{name}")["stored_count"] for name in names)
    if stored != CLIENTS * count:
        raise RuntimeError(f"{stored} of {CLIENTS * count} files were counted")
    return {"rate": CLIENTS * count / spent.wall, "cpu ms": spent.cpu / (CLIENTS * count) * 1000}

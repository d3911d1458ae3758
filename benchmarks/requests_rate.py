"""Question 6: Requests a second of `GET /batches/{id}` by the shipped server, against the same Django under WSGI."""

import time

from benchmarks.client import run_all
from benchmarks.measure import Answer, Spent, alternate, median
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal, Wsgi

CONNECTIONS = 8
SECONDS = 1
BOUND = 0.85
TRIED = """
Missed by little, what was tried, and why. The way through ASGI costs 0.15 ms of a call of 1.5: 0.07 ms the hop to a
thread, without which one slow query would hold up everybody, 0.04 ms the log line that the peer does not write, 0.04
ms the rest. When finding who asks became cheaper for both, the same 0.15 ms became a larger part of the call: before,
the ratio was 0.88 at 614 requests a second, now there are more requests and a lower ratio.
"""


def measure(run):
    """Return the Answer."""
    answer = Answer()
    with Portal(run.folder / "portal") as portal:
        target = f"/batches/{PortalApi(portal).make_batch(name='bench')['id']}"
        # One process each. WSGI with granian's own number of threads, and with as many as the portal has.
        with Wsgi(run.folder / "wsgi", portal) as own, Wsgi(run.folder / "wsgi-8", portal, threads=8) as eight:
            servers = {"portal": portal, "WSGI": own, "WSGI, 8 threads": eight}
            contestants = {
                name: lambda server=server: ask_for(server, target, portal.token, SECONDS)
                for name, server in servers.items()
            }
            # Short turns, many of them: a rate has the whole machine's noise in it.
            seen = alternate(contestants, run.rounds * 4)
    ours = {kind: median(seen["portal"][kind]) for kind in ("rate", "cpu ms")}
    for name in ("WSGI", "WSGI, 8 threads"):
        theirs = {kind: median(seen[name][kind]) for kind in ("rate", "cpu ms")}
        detail = (
            f"{ours['rate']:.0f}/s against {theirs['rate']:.0f}/s; "
            f"CPU {ours['cpu ms']:.2f} ms a request against {theirs['cpu ms']:.2f}"
        )
        answer.add(
            f"requests a second, portal / granian {name}",
            ours["rate"] / theirs["rate"],
            BOUND,
            at="least",
            detail=detail,
        )
    return answer


def ask_for(server, target, token, seconds):
    """Ask over eight connections for so long; return the rate, and the server's CPU for one request."""
    answered, until = [], time.perf_counter() + seconds

    def work(client):
        request, count = client.head("GET", target), 0
        while time.perf_counter() < until:
            client.send(request)
            answer = client.answer()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {answer.body[:300]!r}")
            count += 1
        answered.append(count)

    with Spent(server.pid) as spent:
        run_all(server.url, [work] * CONNECTIONS, connections=CONNECTIONS, token=token)
    return {"rate": sum(answered) / spent.wall, "cpu ms": spent.cpu / sum(answered) * 1000}

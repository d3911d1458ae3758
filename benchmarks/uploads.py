"""Question 1: CPU of the server for the PUTs of 1 GiB in parts of 8 MiB, against three others on the same disk."""

import os
import random
from contextlib import ExitStack, suppress

import orjson

from benchmarks.client import ask, run_all
from benchmarks.measure import Answer, Spent, alternate, median, touch_memory, version_of
from benchmarks.peers import Missing, find_nginx, find_tus
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Bare, Nginx, Portal, Tus

PART = 8 * 2**20
CONNECTIONS = 4
BOUNDS = {"@tus/server": 0.75, "nginx": 3.5, "bare script": 1.3}
DURABLE = {"@tus/server": "no hash, no sync", "nginx": "no hash, no sync", "bare script": "BLAKE3, fdatasync"}


def measure(run):
    """Return the Answer."""
    answer, parts = Answer(), (16 if run.quick else 128)
    body = random.Random(1).randbytes(PART)  # noqa: S311 - bytes that do not compress, the same each time
    with ExitStack() as stack:
        env = {"PORTAL_FINALIZE_INLINE_BYTES": str(2**40)}
        portal = stack.enter_context(Portal(run.folder / "portal", env=env))
        contestants = {"portal": lambda: put_to_portal(portal, parts, body)}
        for kind, put in ((Tus, put_to_tus), (Nginx, put_to_nginx), (Bare, put_to_bare)):
            try:
                server = stack.enter_context(kind(run.folder / kind.__name__))
            except Missing as error:
                answer.skip(str(error))
            else:
                contestants[kind.name] = lambda put=put, server=server: put(server, parts, body)
        seen = alternate(contestants, run.rounds, before=lambda: touch_memory(parts * PART * 2))
    per_gib = 2**30 / (parts * PART)
    ours = median(seen["portal"]["cpu"])
    for name in contestants:
        if name != "portal":
            theirs = median(seen[name]["cpu"])
            detail = f"{ours * per_gib:.2f} s/GiB against {theirs * per_gib:.2f} ({DURABLE[name]})"
            answer.add(f"CPU of the PUTs, portal / {name}", ours / theirs, BOUNDS[name], detail=detail)
    finalize = median(seen["portal"]["finalize cpu"]) * per_gib
    answer.add("CPU of the finalize of 1 GiB beside it", finalize, unit="s")
    answer.notes.append(f"The others: {', '.join(filter(None, versions()))}.")
    rates = ", ".join(f"{name} {parts * PART / 2**20 / median(seen[name]['wall']):.0f}" for name in contestants)
    answer.notes.append(f"MiB a second, four connections, client on the same cores: {rates}.")
    return answer


def versions():
    """Yield which others there were."""
    with suppress(Missing):
        package = find_tus() / "node_modules" / "@tus" / "server" / "package.json"
        yield f"@tus/server {orjson.loads(package.read_bytes())['version']} on Node {version_of('node', '--version')}"
    with suppress(Missing):
        yield version_of(find_nginx(), "-v").removeprefix("nginx version: ")


def put_to_portal(portal, parts, body):
    """Send one file in `parts` parts, finalize it; return what was spent on both."""
    api = PortalApi(portal)
    session = api.open_session(parts * PART, chunk_size_bytes=PART)
    with Spent(portal.pid) as spent:
        api.put_parts(session, range(1, parts + 1), body, connections=CONNECTIONS)
    with Spent(portal.pid) as finalized:
        file = api.finalize(session)
    api.delete(f"/files/{file['id']}")
    return {"cpu": spent.cpu, "wall": spent.wall, "finalize cpu": finalized.cpu}


def put_to_tus(server, parts, body):
    """Send as many bytes in four uploads at a time: those of one tus upload come one after the other."""
    version = "Tus-Resumable: 1.0.0"
    each = parts // CONNECTIONS

    def upload(client):
        made = ask(client, "POST", "/files", version, f"Upload-Length: {each * PART}")
        target = "/files/" + made.header("location").rsplit("/", 1)[1]
        kind = "Content-Type: application/offset+octet-stream"
        for number in range(each):
            ask(client, "PATCH", target, version, kind, f"Upload-Offset: {number * PART}", body=body)

    return _spend(server, [upload] * CONNECTIONS)


def put_to_nginx(server, parts, body):
    """Send each part as a file of its own."""
    return _spend(server, [lambda c, n=n: ask(c, "PUT", f"/{n}", body=body) for n in range(parts)])


def put_to_bare(server, parts, body):
    """Send the parts to their places in one file."""
    return _spend(server, [lambda c, n=n: ask(c, "PUT", f"/one?{n * PART}", body=body) for n in range(parts)])


def _spend(server, jobs):
    with Spent(server.pid) as spent:
        run_all(server.url, jobs, connections=CONNECTIONS)
    for path in server.data.iterdir():
        if path.is_file():
            path.unlink()
    os.sync()
    return {"cpu": spent.cpu, "wall": spent.wall}

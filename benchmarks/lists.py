"""Question 5: Lists and details in a batch of 1,000,000 files: deep against the first page, large batch against small.

And the CPU of one page of 100 against the same rows by a bare cursor and orjson, in one process.
"""

import base64
import random
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import orjson

from benchmarks.client import ask
from benchmarks.databases import LARGE, SMALL, fill_batch, made_key, own_postgres
from benchmarks.measure import Answer, median, say
from benchmarks.peers import ROOT, Missing
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal
from tests.raw import RawClient

REQUESTS = 60
FLAT = 1.2
CPU_BOUND = 2.5


def measure(run):
    """Return the Answer for both databases."""
    answer, count = Answer(), (100_000 if run.quick else 1_000_000)
    with Portal(run.folder / "sqlite") as portal:
        ask_portal(answer, "SQLite", portal, count, run.rounds)
    try:
        with own_postgres() as url, Portal(run.folder / "postgres", database_url=url) as portal:
            ask_portal(answer, "PostgreSQL", portal, count, run.rounds)
    except Missing as error:
        answer.skip(str(error))
    return answer


def ask_portal(answer, database, portal, count, rounds):
    """Fill two batches and add the figures of one database."""
    api = PortalApi(portal)
    large, small = (api.make_batch(name=name)["id"] for name in ("large", "small"))
    say(f"    {database}: making {count:,} files")
    fill_batch(portal.database_url, large, LARGE, count)
    fill_batch(portal.database_url, small, SMALL, 10)
    first = f"/batches/{large}/files?limit=100"
    paths = {
        "first page": first,
        "deep page": f"{first}&cursor={cursor_at(api.get(first)['next'], made_key(LARGE, count - count // 100))}",
        "large batch": f"/batches/{large}",
        "small batch": f"/batches/{small}",
    }
    seen = {name: [] for name in paths}
    for number in range(rounds + 1):
        taken = milliseconds(portal, paths)
        shown = "  ".join(f"{name} {median(values):.2f}" for name, values in taken.items())
        say(f"    {f'round {number}/{rounds}' if number else 'warm-up'}  ms: {shown}")
        for name, values in taken.items() if number else ():
            seen[name] += values
    seen = {name: median(values) for name, values in seen.items()}
    for over, under in (("deep page", "first page"), ("large batch", "small batch")):
        detail = f"{seen[over]:.2f} ms against {seen[under]:.2f}"
        answer.add(f"{database}: {over} / {under}, {count:,} files", seen[over] / seen[under], FLAT, detail=detail)
    command = [sys.executable, "-m", "benchmarks.page_cpu", large, portal.token, str(rounds)]
    done = subprocess.run(command, cwd=ROOT, env=portal.env, check=True, capture_output=True)
    cpu = orjson.loads(done.stdout)
    detail = f"{cpu['rows']:.2f} ms against {cpu['bare']:.2f}"
    answer.add(
        f"{database}: CPU of 100 rows / bare cursor and orjson", cpu["rows"] / cpu["bare"], CPU_BOUND, detail=detail
    )
    detail = f"{cpu['request']:.2f} ms: who asks, the batch, all middleware"
    answer.add(f"{database}: CPU of the whole request / the same", cpu["request"] / cpu["bare"], detail=detail)


def cursor_at(link, position):
    """Return the cursor of the page after `position`, made of a link to a next page. No client may do so."""
    cursor = parse_qs(urlsplit(link).query)["cursor"][0]
    parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return base64.urlsafe_b64encode(orjson.dumps([*parts[:-1], str(position)])).decode().rstrip("=")


def milliseconds(portal, paths):
    """GET each of `paths` again and again over an open connection; return what each took.

    In an order that changes: what comes after a page of 100 rows finds colder caches.
    """
    taken, order = {name: [] for name in paths}, random.Random(3)  # noqa: S311 - an order, no secret
    with RawClient(portal.url, token=portal.token) as client:
        for _ in range(REQUESTS):
            for name in order.sample(list(paths), len(paths)):
                began = time.perf_counter()
                ask(client, "GET", paths[name], expected=(200,))
                taken[name].append((time.perf_counter() - began) * 1000)
    return taken

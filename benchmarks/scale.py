"""Question 11: What a file, a part and an event cost in bytes on PostgreSQL, and a page deep among ten million files.

Rows are copies of those of one real file of one part, with keys of their own; indexes, constraints and sizes are as
shipped. Files in the number that is asked for; sessions, parts and events a fifth of it, since their cost is a row's.
"""

import time

import psycopg

from benchmarks.client import ask
from benchmarks.databases import made_key, own_postgres
from benchmarks.lists import cursor_at
from benchmarks.measure import Answer, median, say
from benchmarks.peers import Missing
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal
from tests.raw import RawClient

FILES, QUICK_FILES = 10_000_000, 200_000
HALF = "0190000000007002"
KEY = f"('{HALF}' || lpad(to_hex(n), 16, '0'))::uuid"
#: What differs from row to row; everything else is as in the real one.
DIFFERS = {
    "ingestfile": f"'id', {KEY}, 'session_id', {KEY}, 'path', 'folder-' || n / 1000 || '/file-' || n, "
    "'storage_key', 'aa/bb/' || lpad(to_hex(n), 32, '0')",
    "uploadsession": f"'id', {KEY}, 'file_id', {KEY}, 'object_key', 'aa/bb/' || lpad(to_hex(n), 32, '0')",
    "uploadpart": f"'id', {KEY}, 'session_id', {KEY}",
    "outboxevent": f"'id', {KEY}, 'file_id', {KEY}, 'subject_id', {KEY}, 'seq', n + 1000000",
}
FILL = """
INSERT INTO portal_{table} SELECT (jsonb_populate_record(model, jsonb_build_object({differs}))).*
FROM (SELECT model FROM portal_{table} AS model LIMIT 1) AS one(model), generate_series({first}, {last}) AS n
"""
SIZES = "SELECT pg_table_size('portal_{0}'), pg_indexes_size('portal_{0}'), count(*) FROM portal_{0}"
BLOCK = 500_000
REQUESTS = 200
FLAT = 1.2


def measure(run):
    """Return the Answer."""
    answer, count = Answer(), (QUICK_FILES if run.quick else FILES)
    try:
        with own_postgres() as url, Portal(run.folder / "scale", database_url=url, run_worker=True) as portal:
            _ask(answer, portal, url, count)
    except Missing as error:
        answer.skip(str(error))
    return answer


def _ask(answer, portal, url, count):
    api = PortalApi(portal)
    batch = api.make_batch(name="large")["id"]
    api.finalize(_sent(api, batch))
    with psycopg.connect(url, autocommit=True) as connection:
        # The rows are as good as their models: what they refer to is not looked up for each.
        connection.execute("SET session_replication_role = replica")
        for table in DIFFERS:
            rows = count if table == "ingestfile" else count // 5
            _fill(connection, table, rows)
            data, indexes, found = connection.execute(SIZES.format(table)).fetchone()
            detail = f"{found:,} rows, {(data + indexes) / 2**30:.2f} GiB; index {indexes / found:.0f} of them"
            answer.add(
                f"bytes of a row of portal_{table}, indexes included", (data + indexes) / found, unit="B", detail=detail
            )
    taken = _milliseconds(portal, batch, count)
    detail = f"{taken['deep']:.2f} ms against {taken['first']:.2f}"
    answer.add("page of 100 deep in the batch / its first page", taken["deep"] / taken["first"], FLAT, detail=detail)


def _sent(api, batch):
    session = api.open_session(1000, batch_id=batch, path="model")
    api.put_parts(session, [1], b"x" * 1000, connections=1)
    return session


def _fill(connection, table, rows):
    began = time.monotonic()
    for first in range(1, rows + 1, BLOCK):
        last = min(first + BLOCK - 1, rows)
        connection.execute(FILL.format(table=table, differs=DIFFERS[table], first=first, last=last))
        say(f"    {table}: {last:,} of {rows:,} rows, {time.monotonic() - began:.0f} s")
    connection.execute(f"VACUUM ANALYZE portal_{table}")


def _milliseconds(portal, batch, count):
    """Return the medians of what two pages take, asked for in turn."""
    first = f"/batches/{batch}/files?limit=100"
    position = made_key(HALF, count - count // 100)
    pages = {"first": first, "deep": f"{first}&cursor={cursor_at(PortalApi(portal).get(first)['next'], position)}"}
    taken = {name: [] for name in pages}
    with RawClient(portal.url, token=portal.token) as client:
        for _ in range(REQUESTS):
            for name, page in pages.items():
                began = time.perf_counter()
                ask(client, "GET", page, expected=(200,))
                taken[name].append((time.perf_counter() - began) * 1000)
    return {name: median(times[10:]) for name, times in taken.items()}

"""The databases of a measurement: SQLite in the portal's folder, a PostgreSQL of our own, one whose disk seems slow."""

import sqlite3
from contextlib import closing, contextmanager
from uuid import UUID

import psycopg

from benchmarks.peers import Missing
from tests.postgres import Postgres
from tests.postgres_binaries import NoPostgres

#: A row's key by its number, in both dialects; numbers that rise give keys that rise, as UUIDv7 do.
KEYS = {
    "sqlite": "printf('%s%%016x', n)",
    "postgres": "('%s' || lpad(to_hex(n), 16, '0'))::uuid",
}
NUMBERS = {
    "sqlite": "(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {0}) "
    "SELECT n FROM numbers)",
    "postgres": "(SELECT generate_series(1, {0}) AS n)",
}
#: First halves of the keys of made rows.
SMALL, LARGE = "0190000000007000", "0190000000007001"
FILES = """
INSERT INTO portal_ingestfile (id, owner_id, batch_id, original_filename, path, content_type, size_bytes, sha256,
    status, status_at, metadata, storage_backend, storage_key, created_at, stored_at)
SELECT {key}, (SELECT owner_id FROM portal_uploadbatch WHERE id = '{batch}'), '{batch}', 'file-' || n || '.bin',
    'folder/file-' || n || '.bin', 'application/octet-stream', 1000, '{digest}', 'STORED', {now},
    '{{}}', 'local', 'aa/bb/' || n, {now}, {now}
FROM {numbers} AS made
"""
#: Numbered far above those of events that were made by the portal.
FIRST_SEQ = 10_000_000
EVENTS = """
INSERT INTO portal_outboxevent (id, owner_id, event_type, subject_id, payload, created_at, seq)
SELECT {key}, (SELECT min(id) FROM auth_user), 'file.uploaded', {key}, '{{}}', {now}, {first} + n
FROM {numbers} AS made
"""
DELIVERIES = """
INSERT INTO portal_delivery (id, event_id, endpoint_id, status, status_at, attempts, history, created_at)
SELECT {key}, {key}, (SELECT id FROM portal_endpoint), 'DELIVERED', {now}, 1,
    '[{{"at": "2030-01-01T00:00:00.000Z", "status_code": 204, "error": "", "milliseconds": 3}}]', {now}
FROM {numbers} AS made
"""
EVENT_TABLES = ("portal_outboxevent", "portal_delivery")
HANDED_OUT = [
    "UPDATE portal_eventcounter SET last_seq = {first} + {count}",
    "UPDATE portal_endpoint SET last_seq = {first} + {count}",
]
COUNTERS = """
UPDATE portal_uploadbatch SET total_files = {count}, stored_count = {count}, total_bytes = {count} * 1000,
    stored_bytes = {count} * 1000 WHERE id = '{batch}'
"""


@contextmanager
def own_postgres():
    """Give the URL of a new PostgreSQL; raises Missing."""
    server = Postgres()
    try:
        url = server.__enter__()
    except NoPostgres as error:
        raise Missing(f"PostgreSQL: {error}") from error
    try:
        yield url
    finally:
        server.stop()


def new_database(url, name):
    """Make one more database in the server at `url` and return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url.rpartition('/')[0]}/{name}"


def delay_commits(url, microseconds):
    """Make each flush of the log of the server at `url` wait so long first, as a slower disk would."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET commit_delay = {int(microseconds)}")
        connection.execute("ALTER SYSTEM SET commit_siblings = 0")
        connection.execute("SELECT pg_reload_conf()")


def made_key(half, number):
    """Return the id of the row `number` that was made with this first half."""
    return UUID(f"{half}{number:016x}")


def fill_batch(url, batch_id, half, count):
    """Put `count` STORED files into a batch by one statement, counters too; `url` is PostgreSQL's or SQLite's."""
    batch = UUID(batch_id).hex if _is_sqlite(url) else batch_id
    fields = _made(url, half, count) | {"batch": batch, "digest": "0" * 64}
    _carry_out(url, [text.format(**fields) for text in (FILES, COUNTERS)])
    vacuum(url, "portal_ingestfile")


def vacuum(url, *tables):
    """Let PostgreSQL do what it does by itself a minute later; SQLite has nothing to do."""
    if not _is_sqlite(url):
        _carry_out(url, [f"VACUUM ANALYZE {table}" for table in tables])


def fill_deliveries(url, count):
    """Make so many events that are DELIVERED to the one endpoint there is."""
    fields = _made(url, LARGE, count) | {"first": FIRST_SEQ}
    statements = [text.format(**fields) for text in (EVENTS, DELIVERIES, *HANDED_OUT)]
    _carry_out(url, statements)
    vacuum(url, *EVENT_TABLES)


def _is_sqlite(url):
    return url.startswith("sqlite:///")


def _made(url, half, count):
    kind = "sqlite" if _is_sqlite(url) else "postgres"
    # SQLite has times as texts; Django's have six digits of a second, as PostgreSQL's have.
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'" if kind == "sqlite" else "clock_timestamp()"
    return {"now": now, "key": KEYS[kind] % half, "numbers": NUMBERS[kind].format(count), "count": count}


def _carry_out(url, statements):
    if _is_sqlite(url):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60)) as connection, connection:
            for statement in statements:
                connection.execute(statement)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

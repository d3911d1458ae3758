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
    sqlite = url.startswith("sqlite:///")
    kind, batch = ("sqlite", UUID(batch_id).hex) if sqlite else ("postgres", batch_id)
    # SQLite has times as texts; Django's have six digits of a second, as PostgreSQL's have.
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'" if sqlite else "clock_timestamp()"
    fields = {"now": now, "key": KEYS[kind] % half, "numbers": NUMBERS[kind].format(count), "digest": "0" * 64}
    statements = [text.format(batch=batch, count=count, **fields) for text in (FILES, COUNTERS)]
    if sqlite:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60)) as connection, connection:
            for statement in statements:
                connection.execute(statement)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in [*statements, "VACUUM ANALYZE portal_ingestfile"]:
                connection.execute(statement)

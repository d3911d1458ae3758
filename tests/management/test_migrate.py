"""`manage.py migrate` gives up on a lock that is not to be had, instead of holding everybody up behind it."""

import threading
import time

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from portal.management.commands import migrate
from tests.postgres import given_url

LOCKED = "LOCK TABLE portal_uploadbatch IN ACCESS SHARE MODE"
#: What comes after it alters the table of batches.
BEFORE = "0001"


@pytest.fixture
def other(transactional_db):
    """A connection of somebody else's to the same database."""
    if connection.vendor == "sqlite":
        yield None
        return
    with psycopg.connect(given_url(), dbname=connection.settings_dict["NAME"]) as found:
        yield found


def test_a_migration_waits_for_no_lock_longer_than_its_time(other, monkeypatch):
    if other is None:
        # SQLite has one lock for all, and its own time for it: there it is Django's command as it stands.
        call_command("migrate", verbosity=0)
        return
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 1)
    other.execute(LOCKED)
    began, reads, over = time.monotonic(), [], threading.Event()

    def read():
        """What comes after the migration in the queue waits as long as it does."""
        with psycopg.connect(given_url(), dbname=connection.settings_dict["NAME"]) as reader:
            while not over.is_set():
                asked = time.monotonic()
                reader.execute("SELECT count(*) FROM portal_uploadbatch")
                reader.commit()
                reads.append(time.monotonic() - asked)
                time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with pytest.raises(CommandError, match=r"locked for 1 seconds.*Run migrate again"):
            call_command("migrate", "portal", BEFORE, verbosity=0)
    finally:
        over.set()
        reader.join()
    assert time.monotonic() - began < 60
    assert 0.5 < max(reads) < 10
    other.rollback()
    # Forwards from wherever it was left; nothing is half done.
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",), "for migrations alone"


#: The migration that makes it, the one before, its table, its name, its columns.
LARGE = [
    ("0013", "0012", "portal_ingestfile", "file_known_bytes", ["owner_id", "sha256", "size_bytes", "id"]),
    ("0015", "0014", "portal_outboxevent", "event_batch_numbered", ["batch_id", "seq"]),
]


@pytest.mark.parametrize(("number", "before", "table", "name", "columns"), LARGE)
def test_a_large_index_is_made_while_others_write_and_again_after_it_was_broken_off(
    number, before, table, name, columns, transactional_db, capsys
):
    call_command("sqlmigrate", "portal", number)
    assert ("CREATE INDEX CONCURRENTLY" in capsys.readouterr().out) == (connection.vendor == "postgresql")
    call_command("migrate", "portal", before, verbosity=0)
    with connection.cursor() as cursor:
        # Whatever the database: outside a transaction, what was made before the break stays.
        cursor.execute(f'CREATE INDEX "{name}" ON "{table}" ("id")')
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        made = connection.introspection.get_constraints(cursor, table)[name]
        assert made["columns"] == columns
        cursor.execute(f'DROP INDEX "{name}"')
    # And so on the way back.
    call_command("migrate", "portal", before, verbosity=0)
    call_command("migrate", verbosity=0)

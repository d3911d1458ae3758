"""Migrations: forwards, back to nothing and forwards again, on this run's database; and none is missing."""

import pytest
from django.core.management import call_command

from tests.databases import run_command


@pytest.fixture
def manage(fresh_database):
    """`manage(…)` runs a command of manage.py on a new, empty database and gives what it says."""
    with fresh_database(empty=True) as url:
        yield lambda *arguments: run_command(url, *arguments)


#: Everything that the database keeps of our tables, as text, in a fixed order.
DESCRIBE = """
from django.db import connection
with connection.cursor() as cursor:
    if connection.vendor == "sqlite":
        cursor.execute("SELECT type, name, sql FROM sqlite_master WHERE tbl_name LIKE 'portal%' ORDER BY type, name")
    else:
        cursor.execute('''
            SELECT 'column', table_name, column_name, data_type, collation_name, is_nullable, generation_expression
            FROM information_schema.columns WHERE table_name LIKE 'portal%'
            UNION ALL
            SELECT 'index', tablename, indexname, indexdef, '', '', '' FROM pg_indexes WHERE tablename LIKE 'portal%'
            UNION ALL
            SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
            FROM pg_constraint WHERE conrelid::regclass::text LIKE 'portal%'
            ORDER BY 1, 2, 3
        ''')
    for row in cursor.fetchall():
        print(row)
"""


def test_the_migrations_run_forwards_and_back_and_forwards_again(manage):
    describe = ("shell", "--no-imports", "-v", "0", "-c", DESCRIBE)
    manage("migrate", "-v", "0")
    first = manage(*describe)
    assert "portal_ingestfile" in first
    manage("migrate", "portal", "zero", "-v", "0")
    assert manage(*describe).strip() == ""
    manage("migrate", "portal", "-v", "0")
    assert manage(*describe) == first


def test_no_migration_is_missing(db):
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)

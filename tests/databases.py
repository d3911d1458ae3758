"""Databases of servers under test: new ones, copied from what the migrations made once, and asked from here."""

import contextlib
import fcntl
import io
import secrets
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import dj_database_url
import psycopg
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.db.utils import load_backend
from psycopg import sql

from tests.postgres import database_url, given_url

SQLITE = "sqlite:///"
#: Tables of Django's own that the migrations fill; nothing of ours writes to them.
FILLED_BY_MIGRATIONS = {"django_content_type", "auth_permission"}
#: A table of this size is made anew when it is emptied.
LARGE_BYTES = 256 * 2**10
#: By the kind of database, what new ones are copied from: a file, or a database of the same server; pytest fills it.
templates = {}


@contextlib.contextmanager
def new_database(kind, folder, *, empty=False):
    """Give the URL of a new database: as the migrations leave it where there is a template, else empty."""
    template = None if empty else templates.get(kind)
    if kind == "sqlite":
        path = Path(folder) / "portal.sqlite3"
        if template:
            shutil.copyfile(template, path)
        yield f"{SQLITE}{path}"
    else:
        with database_url() as url, own_database(url, template=template) as own:
            yield own


@contextlib.contextmanager
def own_database(url, *, template=None):
    """Give the URL of a new PostgreSQL database beside that of `url`, a copy of `template`; dropped at the end."""
    name = f"portal_{secrets.token_hex(6)}"
    create_database(url, name, template=template or "template1")
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        drop_database(url, name)


def create_database(url, name, *, template):
    """Make the PostgreSQL database `name` beside that of `url`, a copy of `template`."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, template))))


def drop_database(url, name):
    """Remove the PostgreSQL database `name` beside that of `url`, whoever uses it; nothing when there is none."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def migrated_template(kind, folder):
    """Copy new databases from one that the migrations made once for all processes of the run that share `folder`.

    Who comes first makes it; who leaves last removes it.
    """
    made = Path(folder) / "template"
    with made.with_suffix(".gate").open("w") as gate, made.with_suffix(".users").open("w") as users:
        fcntl.flock(gate, fcntl.LOCK_EX)
        if not made.exists():
            made.write_text(_make_template(kind, folder))
        templates[kind] = made.read_text()
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(gate, fcntl.LOCK_EX)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                made.unlink()
                if kind == "postgresql":
                    drop_database(given_url(), templates[kind])
            del templates[kind]


def _make_template(kind, folder):
    """Return the file, or the name, of a new database that the migrations have made."""
    if kind == "sqlite":
        with new_database(kind, folder, empty=True) as url:
            run_command(url, "migrate", "--verbosity=0")
        return url.removeprefix(SQLITE)
    url, name = given_url(), f"portal_template_{secrets.token_hex(6)}"
    create_database(url, name, template="template1")
    run_command(urlunsplit(urlsplit(url)._replace(path=f"/{name}")), "migrate", "--verbosity=0")
    return name


@contextlib.contextmanager
def undone():
    """What is written in here is there for all tests in here, and undone at the end."""
    around = transaction.atomic()
    around._from_testcase = True  # as Django's TestCase marks its own: not one of the code under test
    with around:
        yield
        transaction.set_rollback(True)


def empty_tables(connection):
    """Delete the rows that a test has committed; what the migrations have made for Django's own apps stays as it is.

    Django's flush makes each table and its indexes anew, and all permissions after that: for the few rows that most
    tests write it is many times the work.
    """
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} - FILLED_BY_MIGRATIONS
    statements = [f'DELETE FROM "{table}"' for table in sorted(tables)]
    if connection.vendor == "postgresql":
        statements = [*_truncate_large(connection, tables), "; ".join(statements)]
    # Who refers to whom is looked at when the transaction ends: all are gone then.
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _truncate_large(connection, tables):
    """Return the statement for tables that have grown: what was deleted from them would be in everybody's way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind = 'r' AND pg_relation_size(oid) > %s",
            [list(tables), LARGE_BYTES],
        )
        large = [f'"{name}"' for (name,) in cursor.fetchall()]
    return [f"TRUNCATE {', '.join(large)} CASCADE"] if large else []


def become_own(url):
    """Let this process's own models mean the database at `url` from here on, as Django's test runner does."""
    default = connections["default"]
    default.close()
    settings.DATABASES["default"]["NAME"] = default.settings_dict["NAME"] = dj_database_url.parse(url)["NAME"]


@contextlib.contextmanager
def models_of(url):
    """Let the models of this process mean the database of a server for a while, whatever a test may touch."""
    parsed, own = dj_database_url.parse(url), connections["default"]
    there = {name: parsed[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    entry = connections.settings["default"] | there
    wrapper = load_backend(entry["ENGINE"]).DatabaseWrapper(entry, "default")
    # pytest-django forbids every connection to tests that did not ask for the database: that one is not meant.
    wrapper.ensure_connection = lambda: wrapper.connection or wrapper.connect()
    connections["default"] = wrapper
    try:
        yield
    finally:
        connections["default"] = own
        wrapper.close()


def run_command(url, *arguments):
    """Return what a command of manage.py prints that needs the database at `url` alone, without a process for it.

    Raises CommandError with what it had printed when it fails.
    """
    with models_of(url), contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            call_command(*arguments)
        except CommandError as error:
            raise CommandError(f"{said.getvalue()}{error}") from error
    return said.getvalue()


@contextlib.contextmanager
def open_database(url):
    """Give a connection to the database of a server, and the mark that stands for a value there."""
    if url.startswith(SQLITE):
        with contextlib.closing(sqlite3.connect(url.removeprefix(SQLITE), timeout=60)) as connection:
            yield connection, "?"
    else:
        with psycopg.connect(url) as connection:
            yield connection, "%s"


def is_empty(url):
    """Whether a database has no table yet."""
    tables = "sqlite_master" if url.startswith(SQLITE) else "pg_tables WHERE schemaname = 'public'"
    with open_database(url) as (connection, _):
        return not connection.execute(f"SELECT count(*) FROM {tables}").fetchone()[0]

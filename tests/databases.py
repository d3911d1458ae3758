"""Databases of servers under test: new ones, copied from what the migrations made once, and asked from here."""

import contextlib
import io
import secrets
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import dj_database_url
import psycopg
from django.core.management import call_command
from django.db import connections
from django.db.utils import load_backend
from psycopg import sql

from tests.postgres import database_url

SQLITE = "sqlite:///"
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
    text = f"portal_{secrets.token_hex(6)}"
    name, template = map(sql.Identifier, (text, template or "template1"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{text}"))
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@contextlib.contextmanager
def kept_template(folder):
    """Copy new databases from that of this process as it is now, while nobody else has it open."""
    default = connections["default"]
    with contextlib.ExitStack() as stack:
        if default.vendor == "sqlite":
            template = Path(folder) / "template.sqlite3"
            default.ensure_connection()
            with contextlib.closing(sqlite3.connect(template)) as copy:
                default.connection.backup(copy)
        else:
            default.close()
            url = stack.enter_context(database_url())
            copy = stack.enter_context(own_database(url, template=default.settings_dict["NAME"]))
            template = urlsplit(copy).path[1:]
        templates[default.vendor] = template
        stack.callback(templates.clear)
        yield


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
    """Return what a command of manage.py prints that needs the database at `url` alone, without a process for it."""
    with models_of(url), contextlib.redirect_stdout(io.StringIO()) as said:
        call_command(*arguments)
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

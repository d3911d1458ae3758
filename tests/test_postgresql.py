"""A PostgreSQL that does not answer is given up; one that answers late, or is only asked for news, is not."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from django.db import OperationalError, connection, connections, transaction

from boot.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.postgresql


@contextmanager
def _opened(seconds):
    ours = DatabaseWrapper(connection.settings_dict | {"ANSWER_SECONDS": seconds}, "ours")
    try:
        ours.ensure_connection()
        yield ours
    finally:
        ours.close()


@contextmanager
def atomic_on(wrapper):
    """A transaction on this connection; Django finds one by its alias."""
    connections[wrapper.alias] = wrapper
    try:
        with transaction.atomic(wrapper.alias):
            yield
    finally:
        if not wrapper.in_atomic_block:
            del connections[wrapper.alias]


def _run(wrapper, sql):
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@contextmanager
def _frozen(*pids):
    """Processes of PostgreSQL are stopped, as by their disk; only the user they run as may do that, or root."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        pytest.skip("PostgreSQL is not on this machine, or another user's")
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _wait_until_gone(pid, seconds=20):
    began = time.monotonic()
    while _run(connection, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"):
        assert time.monotonic() - began < seconds, "it goes on in the database"
        time.sleep(0.05)


@pytest.mark.django_db
def test_a_statement_that_takes_too_long_is_cancelled_and_the_next_one_goes_through():
    with _opened(0.8) as ours:
        pid = _run(ours, "SELECT pg_backend_pid()")
        began = time.monotonic()
        with pytest.raises(OperationalError, match="timeout"):
            _run(ours, "SELECT 1 FROM pg_sleep(60)")
        assert time.monotonic() - began < 20
        _wait_until_gone(pid)
        ours.close_if_unusable_or_obsolete()
        assert _run(ours, "SELECT 1") == 1


@pytest.mark.django_db
def test_a_statement_of_a_transaction_that_takes_too_long_ends_it():
    with _opened(0.8) as ours:
        pids = []

        def hang():
            pids.append(_run(ours, "SELECT pg_backend_pid()"))
            with suppress(OperationalError), atomic_on(ours):
                _run(ours, "SELECT 1 FROM pg_sleep(60)")
            _run(ours, "SELECT 1")

        with pytest.raises(OperationalError, match="closed"), atomic_on(ours):
            hang()
        _wait_until_gone(*pids)
        assert not ours.in_atomic_block
        assert _run(ours, "SELECT 1") == 1


@pytest.fixture
def slow_commits(transactional_db):
    """A table `slow` whose commits take two seconds and a half."""
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE TABLE slow (id int);
            CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_sleep(2.5); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION slowly();
        """)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE slow; DROP FUNCTION slowly;")


@pytest.mark.usefixtures("slow_commits")
def test_a_commit_that_takes_too_long_is_given_up_and_not_cancelled():
    with _opened(0.8) as ours:
        pid = _run(ours, "SELECT pg_backend_pid()")
        with pytest.raises(OperationalError, match="timeout"), atomic_on(ours):
            ours.cursor().execute("INSERT INTO slow VALUES (1)")
        _wait_until_gone(pid)
        assert _run(connection, "SELECT count(*) FROM slow") == 1, "a cancelled one may end as if it were safe"
        pid = _run(ours, "SELECT pg_backend_pid()")
        with pytest.raises(OperationalError):
            _run(ours, "SELECT 1 FROM pg_sleep(60)")
        _wait_until_gone(pid)  # what comes after a COMMIT is cancelled as ever


@pytest.mark.django_db
def test_a_frozen_database_is_given_up_and_so_is_its_cancellation(monkeypatch):
    monkeypatch.setattr("boot.postgresql.base.HEALTH_SECONDS", 0.3)
    folder = _run(connection, "SHOW data_directory")
    with _opened(0.8) as ours:
        pids = _run(ours, "SELECT pg_backend_pid()"), int((Path(folder) / "postmaster.pid").read_text().split()[0])
        began = time.monotonic()
        with _frozen(*pids), pytest.raises(OperationalError):
            _run(ours, "SELECT 1")
        assert ours.connection.closed
        assert time.monotonic() - began < 10
    with _opened(None) as ours, _frozen(_run(ours, "SELECT pg_backend_pid()")):
        assert not ours.is_usable(), "also where nothing else has an end"


@pytest.mark.django_db
def test_a_connection_is_closed_whatever_comes_of_the_cancellation(monkeypatch):
    with _opened(0.8) as ours:
        monkeypatch.setattr(ours.connection, "cancel_safe", partial(os.open, "/nothing/there", os.O_RDONLY))
        with pytest.raises(OperationalError):
            _run(ours, "SELECT 1 FROM pg_sleep(3)")
        assert ours.connection.closed


@pytest.mark.django_db
def test_what_fails_at_once_leaves_the_connection_open_and_so_does_waiting_for_news():
    with _opened(5) as ours:
        with pytest.raises(OperationalError):
            _run(ours, "SELECT pg_sleep(10) FROM pg_cancel_backend(pg_backend_pid())")
        began = time.monotonic()
        assert list(ours.connection.notifies(timeout=0.1)) == []
        assert time.monotonic() - began < 4
        assert _run(ours, "SELECT 1") == 1


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [None, 20])
def test_a_look_at_its_health_changes_no_other_limit(monkeypatch, seconds):
    monkeypatch.setattr("boot.postgresql.base.HEALTH_SECONDS", 0.3)
    with _opened(seconds) as ours:
        assert ours.is_usable()
        assert _run(ours, "SELECT 1 FROM pg_sleep(0.8)") == 1


@pytest.mark.parametrize(("first", "limit"), [("boot.asgi", "30.0"), ("configurations.management", "None")])
def test_requests_have_a_limit_and_commands_have_none(first, limit):
    script = f"import {first}; from django.db import connection; print(connection.settings_dict.get('ANSWER_SECONDS'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{limit}\n"

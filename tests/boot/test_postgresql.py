"""A PostgreSQL that does not answer is given up; one that answers late, or is only asked for news, is not."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection

from boot.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.postgresql


@contextmanager
def _opened(seconds):
    ours = DatabaseWrapper(connection.settings_dict | {"ANSWER_SECONDS": seconds}, "default")
    try:
        ours.ensure_connection()
        yield ours
    finally:
        ours.close()


def _run(wrapper, sql):
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@contextmanager
def _frozen(pid):
    """One process of PostgreSQL is stopped, as by its disk; only the user it runs as may do that, or root."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        pytest.skip("PostgreSQL is not on this machine, or another user's")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.django_db
def test_a_statement_that_takes_too_long_is_cancelled_and_the_next_one_goes_through():
    with _opened(0.3) as ours:
        pid = _run(ours, "SELECT pg_backend_pid()")
        began = time.monotonic()
        with pytest.raises(OperationalError, match="timeout"):
            _run(ours, "SELECT 1 FROM pg_sleep(60)")
        assert time.monotonic() - began < 20
        while _run(connection, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"):
            assert time.monotonic() - began < 20, "it goes on in the database"
            time.sleep(0.05)
        ours.close_if_unusable_or_obsolete()
        assert _run(ours, "SELECT 1") == 1


@pytest.mark.django_db
def test_a_frozen_database_is_given_up_in_a_transaction_and_in_its_health_check(monkeypatch):
    monkeypatch.setattr("boot.postgresql.base.HEALTH_SECONDS", 0.3)
    with _opened(0.3) as ours:
        with _frozen(_run(ours, "SELECT pg_backend_pid()")), pytest.raises(OperationalError):
            _run(ours, "SELECT 1")
        assert ours.connection.closed
    with _opened(None) as ours, _frozen(_run(ours, "SELECT pg_backend_pid()")):
        assert not ours.is_usable(), "also where nothing else has an end"


@pytest.mark.django_db
def test_what_fails_at_once_leaves_the_connection_open_and_so_does_waiting_for_news():
    with _opened(5) as ours:
        with pytest.raises(OperationalError):
            _run(ours, "SELECT pg_sleep(10) FROM pg_cancel_backend(pg_backend_pid())")
        assert list(ours.connection.notifies(timeout=0.1)) == []
        assert _run(ours, "SELECT 1") == 1


@pytest.mark.django_db
def test_without_a_limit_it_waits_as_long_as_it_takes():
    with _opened(None) as ours:
        assert _run(ours, "SELECT 1 FROM pg_sleep(0.5)") == 1


def test_requests_have_a_limit_and_commands_have_none():
    script = "import boot.asgi; from django.db import connection; print(connection.settings_dict['ANSWER_SECONDS'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "30.0\n"
    assert "ANSWER_SECONDS" not in connection.settings_dict

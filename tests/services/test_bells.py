"""Bells: on PostgreSQL a commit wakes the workers at once; whatever goes wrong with that costs only the earliness."""

import threading
import time
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from portal.models import IngestFile
from portal.services import bells
from portal.services.bells import REST_SECONDS, Bell, Listener, Stop
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from tests.patience import wait_until
from tests.samples import make_batch, ready_session, store_file
from tests.services.situations import counters, listeners, session_row

on_postgresql = pytest.mark.postgresql
committed = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_was_told_lately(monkeypatch):
    monkeypatch.setattr(bells, "_told_at", 0.0)


@pytest.fixture
def bell():
    """A bell whose stop nobody asks for."""
    return Bell(Stop())


@contextmanager
def listening(bell):
    """Have a listener ring `bell` from a thread of its own."""
    thread = threading.Thread(target=Listener(bell=bell, stopped=bell.stop.wait).run)
    thread.start()
    try:
        wait_until(listeners)
        bell.clear()
        yield
    finally:
        bell.stop.set()
        thread.join(10)
    assert not thread.is_alive()


def sent(action):
    """Return the first words of the statements that `action()` sends."""
    with CaptureQueriesContext(connection) as captured:
        action()
    return [query["sql"].split()[0] for query in captured.captured_queries]


@on_postgresql
@committed
def test_a_commit_with_an_event_rings_at_once(ann, storage, bell):
    with listening(bell):
        session = ready_session(ann, storage)
        assert not bell.wait(0.3)
        finalize_session(session, storage=storage)
        assert bell.wait(5)


@on_postgresql
@committed
def test_a_listener_whose_connection_is_ended_listens_again(ann, storage, bell, monkeypatch):
    monkeypatch.setattr(bells, "FIRST_PAUSE", 0.1)
    with listening(bell):
        (ended,) = listeners()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [ended])
        wait_until(lambda: listeners() not in ([], [ended]))
        bell.clear()
        store_file(ann, storage)
        assert bell.wait(5)


@on_postgresql
@committed
def test_it_is_told_after_the_commit_and_never_in_the_transaction(ann, storage):
    words = sent(lambda: store_file(ann, storage))
    assert words.count("NOTIFY") == 1
    assert words[-2:] == ["COMMIT", "NOTIFY"]


@on_postgresql
@committed
def test_a_process_tells_of_many_at_once(ann, storage, monkeypatch):
    now = [time.monotonic()]
    monkeypatch.setattr(bells.time, "monotonic", lambda: now[0])
    batch = make_batch(ann, expected_files=1)
    assert sent(lambda: store_file(ann, storage, batch=batch)).count("NOTIFY") == 1
    now[0] += REST_SECONDS * 0.9
    assert "NOTIFY" not in sent(lambda: store_file(ann, storage))
    now[0] += REST_SECONDS * 0.2
    assert "NOTIFY" in sent(lambda: store_file(ann, storage))


@on_postgresql
@committed
def test_what_is_rolled_back_is_not_told(ann, storage):
    session = ready_session(ann, storage)

    def give_up():
        with transaction.atomic():
            abort_session(session_row(session))
            transaction.set_rollback(True)

    assert "NOTIFY" not in sent(give_up)
    assert "NOTIFY" in sent(lambda: abort_session(session_row(session)))


@committed
def test_a_change_is_kept_though_telling_of_it_fails(ann, storage, monkeypatch):
    monkeypatch.setattr(bells, "CHANNEL", "no name")
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    assert counters(batch) == (1, 1, 0, 0)
    assert IngestFile.objects.get().status == "STORED"


@on_postgresql
@committed
def test_a_database_that_is_not_there_is_waited_for_with_growing_pauses(bell, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "NAME", "there_is_none")
    pauses = []

    def stopped(seconds):
        pauses.append(seconds)
        return len(pauses) > 7

    Listener(bell=bell, stopped=stopped).run()
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30]
    assert not bell.is_set()


def test_a_bell_ends_a_pause_and_only_the_next_one(bell):
    bell.set()
    began = time.monotonic()
    assert not bell.stopped(60)
    assert time.monotonic() - began < 30
    assert not bell.is_set()
    assert not bell.stopped(0.01)


def test_a_bell_that_rings_while_the_loop_works_ends_its_next_pause(bell):
    bell.set()
    assert not bell.stopped(0)
    assert bell.is_set()


def test_a_stop_ends_the_pauses_of_all_bells_and_of_those_that_come_later(bell):
    both = [bell, Bell(bell.stop)]
    threads = [threading.Thread(target=one.stopped, args=(60,)) for one in both]
    for thread in threads:
        thread.start()
    bell.stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert bell.stopped(60)

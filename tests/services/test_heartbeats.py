"""The heartbeat of workers: one that lives is seen, and so is one that does not."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from portal.models import WorkerBeat
from portal.services import heartbeats
from portal.services.heartbeats import BEAT_SECONDS, HANG_SECONDS, SILENT_SECONDS, Heart, Pulse, worker_state
from tests.services.situations import failing, set_columns

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _connections_stay_open(monkeypatch):
    """A heart closes connections that are old or broken; that of the test holds its transaction."""
    monkeypatch.setattr(heartbeats, "close_old_connections", lambda: None)
    monkeypatch.setattr(heartbeats.connections, "close_all", lambda: None)


def beat_once():
    """Return the row of a worker that has beaten once."""
    heart = Heart(stopped=lambda seconds: False)
    heart.beat()
    return heart.row


def let_fall_silent(row, seconds=SILENT_SECONDS + 1):
    """Nothing was heard of the worker for so long, by the database's clock."""
    return set_columns(row, beat_at=Now() - timedelta(seconds=seconds))


def test_without_a_worker_there_is_none():
    assert worker_state() == "none"


def test_a_worker_that_beats_is_ok_and_one_that_has_stopped_cleanly_is_none():
    seen = []

    def stopped(seconds):
        assert seconds == BEAT_SECONDS
        seen.append(worker_state())
        return len(seen) == 3

    Heart(stopped=stopped).run()
    assert seen == ["ok", "ok", "ok"]
    assert worker_state() == "none"


def test_one_that_died_is_silent_until_another_beats():
    dead = let_fall_silent(beat_once())
    assert worker_state() == "silent"
    beat_once()
    assert worker_state() == "ok"
    assert WorkerBeat.objects.filter(pk=dead.pk).exists()


def test_a_beat_moves_the_time_of_its_own_row_alone():
    other = let_fall_silent(beat_once(), 500)
    heart = Heart(stopped=lambda seconds: False)
    heart.beat()
    let_fall_silent(heart.row, 400)
    heart.beat()
    assert worker_state() == "ok"
    assert WorkerBeat.objects.since(450).count() == 1
    assert WorkerBeat.objects.filter(pk=other.pk).exists()


def test_the_row_of_one_that_died_a_day_ago_goes():
    dead = let_fall_silent(beat_once(), 24 * 3600 + 1)
    beat_once()
    assert not WorkerBeat.objects.filter(pk=dead.pk).exists()


def test_a_row_that_was_dropped_meanwhile_comes_back():
    heart = Heart(stopped=lambda seconds: False)
    heart.beat()
    WorkerBeat.objects.all().delete()
    heart.beat()
    assert worker_state() == "ok"


def test_a_database_that_does_not_answer_is_waited_out(monkeypatch):
    seen = []

    def stopped(_):
        seen.append(worker_state())
        monkeypatch.setattr(heart, "beat", type(heart).beat.__get__(heart))
        return len(seen) == 2

    heart = Heart(stopped=stopped)
    monkeypatch.setattr(heart, "beat", failing(OperationalError("gone")))
    heart.run()
    assert seen == ["none", "ok"]


class Loop:
    """A loop whose time is moved by hand."""

    def __init__(self, name):
        self.seconds = 1000.0
        self.pulse = Pulse(name, lambda seconds: seconds, now=lambda: self.seconds)


def test_a_worker_one_of_whose_loops_hangs_is_silent_until_it_is_heard_of_again(caplog):
    good, hanging = loops = Loop("dispatcher"), Loop("worker")
    heart = Heart(stopped=lambda seconds: False, pulses=[loop.pulse for loop in loops])
    rounds = []

    def stopped(_):
        rounds.append(worker_state())
        if WorkerBeat.objects.exists():
            let_fall_silent(WorkerBeat.objects.get())
        for loop in loops:
            loop.seconds += HANG_SECONDS - 1 if len(rounds) == 1 else 2
        good.pulse.stopped(0)
        if len(rounds) == 3:
            hanging.pulse.stopped(0)
        return len(rounds) == 4

    heart.stopped = stopped
    heart.run()
    assert rounds == ["ok", "ok", "silent", "ok"]
    assert "nothing was heard of its worker" in caplog.text
    assert "dispatcher" not in caplog.text


def test_what_a_loop_is_told_is_what_it_asked_for():
    assert [Loop("worker").pulse.stopped(seconds) for seconds in (0, 7)] == [0, 7]

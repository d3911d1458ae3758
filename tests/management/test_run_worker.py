"""`manage.py run_worker`: works until it is told to stop, then stops within seconds."""

import signal
import subprocess
import sys
import threading
import time
from functools import partial
from unittest import mock

import pytest
from django.db import connections

from boot.leash import leashed
from portal.management.commands import run_worker
from portal.services import dispatch, numbering
from portal.services.heartbeats import HANG_SECONDS, Pulse
from tests.api import Api, expect
from tests.patience import wait_until
from tests.receiver import SECRET, Receiver
from tests.samples import store_file
from tests.server import ROOT
from tests.services.situations import listeners
from tests.views.shapes import read_metrics


@pytest.fixture
def start_worker(portal_server):
    """Give a function that starts a worker beside the running server; what it starts ends with the test."""
    started = []

    def start():
        command = leashed([sys.executable, ROOT / "manage.py", "run_worker"])
        with portal_server.log.open("ab") as log:
            started.append(subprocess.Popen(command, env=portal_server.env, cwd=ROOT, stderr=log, process_group=0))
        return started[-1]

    yield start
    for process in started:
        # A clean stop takes its row away: other tests ask this server whether it has a worker.
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


def workers_of(server):
    """Return how many workers have a row: other tests have left some."""
    told = read_metrics(Api(server.url).get("/metrics"))
    return sum(count for (name, *_), count in told.items() if name == "portal_workers")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_it_is_told_to_stop(portal_server, ann_api, start_worker, number):
    session = ann_api.open_session(1)
    code = f"UploadSession.objects.filter(pk={session['session_id']!r}).update(expires_at='2020-01-01T00:00:00Z')"
    portal_server.command("shell", "--no-imports", "-c", f"from portal.models import UploadSession; {code}")
    before = workers_of(portal_server)
    worker = start_worker()
    path = f"/uploads/sessions/{session['session_id']}"
    wait_until(lambda: expect(200, ann_api.get(path))["status"] == "EXPIRED")
    wait_until(lambda: workers_of(portal_server) == before + 1)
    worker.send_signal(number)
    assert worker.wait(5) == 0
    assert workers_of(portal_server) == before


def test_it_numbers_events_while_it_works(portal_server, ann_api, start_worker):
    batch = ann_api.make_batch()["id"]
    file = ann_api.store(b"x", batch_id=batch)
    start_worker()
    # Of the batch alone: other tests have left events at this server.
    path = f"/batches/{batch}/events"
    wait_until(lambda: file["id"] in [event["file_id"] for event in expect(200, ann_api.get(path))["results"]])


LOOPS = {"Numberer": "numberer", "Dispatcher": "dispatcher", "Worker": "worker"}


@pytest.mark.parametrize("working", LOOPS)
def test_the_heart_feels_each_loop_that_works(monkeypatch, working):
    clock, felt, began = [0.0], [], threading.Event()
    monkeypatch.setattr(run_worker, "Pulse", partial(Pulse, now=lambda: clock[0]))
    monkeypatch.setattr(run_worker.signal, "signal", lambda *_: None)
    monkeypatch.setattr(run_worker, "tallies", mock.Mock())

    class Loop:
        """One that asks only when the time has moved on, or not at all."""

        name = ""

        def __init__(self, *, stopped, **_):
            self.stopped = stopped

        def run(self):
            if self.name == working:
                clock[0] += HANG_SECONDS
                self.stopped(0)
                began.set()
            began.wait(10)

    class Heart:
        """One that tells what it feels."""

        def __init__(self, *, stopped, pulses):
            self.pulses = pulses

        def run(self):
            began.wait(10)
            felt.extend(pulse.name for pulse in self.pulses if pulse.is_felt())

    for name in LOOPS:
        monkeypatch.setattr(run_worker, name, type(name, (Loop,), {"name": name}))
    monkeypatch.setattr(run_worker, "Heart", Heart)
    run_worker.Command().handle()
    assert felt == [LOOPS[working]]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_event_is_sent_at_once_and_needs_no_polling(ann, storage, settings, monkeypatch):
    for module in (numbering, dispatch):
        monkeypatch.setattr(module, "POLL_SECONDS", 600)
    handlers = {}
    monkeypatch.setattr(run_worker.signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(run_worker, "get_storage", lambda: storage)
    monkeypatch.setattr(run_worker, "tallies", mock.Mock())
    settings.PORTAL_RUNNER_SECRET = SECRET

    def work():
        run_worker.Command().handle()
        connections.close_all()

    with Receiver() as receiver:
        settings.PORTAL_RUNNER_ENDPOINT = receiver.url
        worker = threading.Thread(target=work)
        worker.start()
        try:
            wait_until(listeners)
            time.sleep(0.5)  # it is idle
            store_file(ann, storage)
            wait_until(lambda: receiver.received, seconds=5)
        finally:
            handlers[signal.SIGTERM]()
            worker.join(10)
    assert not worker.is_alive()

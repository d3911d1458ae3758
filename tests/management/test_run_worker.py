"""`manage.py run_worker`: works until it is told to stop, then stops within seconds."""

import signal
import subprocess
import sys

import pytest

from boot.leash import leashed
from tests.api import expect
from tests.patience import wait_until
from tests.server import ROOT


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
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_it_is_told_to_stop(portal_server, ann_api, start_worker, number):
    session = ann_api.open_session(1)
    code = f"UploadSession.objects.filter(pk={session['session_id']!r}).update(expires_at='2020-01-01T00:00:00Z')"
    portal_server.manage("shell", "--no-imports", "-c", f"from portal.models import UploadSession; {code}")
    worker = start_worker()
    path = f"/uploads/sessions/{session['session_id']}"
    wait_until(lambda: expect(200, ann_api.get(path))["status"] == "EXPIRED")
    worker.send_signal(number)
    assert worker.wait(5) == 0


def test_it_numbers_events_while_it_works(portal_server, ann_api, start_worker):
    batch = ann_api.make_batch()["id"]
    file = ann_api.store(b"x", batch_id=batch)
    start_worker()
    # Of the batch alone: other tests have left events at this server.
    path = f"/batches/{batch}/events"
    wait_until(lambda: file["id"] in [event["file_id"] for event in expect(200, ann_api.get(path))["results"]])

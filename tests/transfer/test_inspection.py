"""Content is judged by the portal as it is run: both doors, the worker, a scanner from the environment."""

import shlex
import sys
import threading
import time

import pytest

from portal.transfer.pools import IO_THREADS
from tests.api import Api, expect
from tests.patience import wait_until
from tests.server import LiveServer
from tests.transfer.uploads import problem

JUDGE = "import sys; bad = sys.stdin.buffer.read().startswith(b'a virus'); print('Test-Virus'); sys.exit(bad)"


@pytest.fixture
def api(tmp_path, fresh_database):
    """The owner at a portal with a scanner and a worker."""
    env = {"PORTAL_SCANNER": f"command:{shlex.join([sys.executable, '-c', JUDGE])}"}
    with fresh_database() as url, LiveServer(tmp_path, database_url=url, env=env, run_worker=True) as server:
        yield Api(server.url, server.create_token("ann"))


def finalize(api, batch_id, data):
    """Send a file by a session; return the file as it is in the end, and the last answer of finalize."""
    session = api.open_session(len(data), batch_id=batch_id)
    api.put_parts(session, data)
    wait_until(lambda: api.finalize(session).status_code != 202)
    return expect(200, api.get(f"/files/{session['file_id']}")), api.finalize(session)


def events(api, path):
    """Return the types of the batch's events."""
    return sorted(event["event_type"] for event in expect(200, api.get(f"{path}/events"))["results"])


def test_what_the_scanner_refuses_is_never_stored(api):
    batch = api.make_batch()
    path = f"/batches/{batch['id']}"
    expect(201, api.put(f"{path}/files/good", b"good"))
    refused = api.put(f"{path}/files/bad", b"a virus")
    assert problem(refused) == (422, "scan_refused")
    assert refused.json()["detail"] == "The scanner refused the content: Test-Virus"
    file, answer = finalize(api, batch["id"], b"good too")
    assert (file["status"], answer.status_code) == ("STORED", 200)
    file, answer = finalize(api, batch["id"], b"a virus too")
    assert (file["status"], file["error"]["code"]) == ("FAILED", "scan_refused")
    assert problem(answer) == (422, "scan_refused")
    batch = expect(200, api.get(path))
    assert (batch["total_files"], batch["stored_count"], batch["failed_count"]) == (3, 2, 1)
    # They are numbered, and shown, a moment after the commit.
    wait_until(lambda: events(api, path) == ["file.failed", "file.uploaded", "file.uploaded"])


def test_a_scanner_that_is_slow_holds_up_no_part(tmp_path, fresh_database):
    """More files wait for a verdict than there are threads that write."""
    slow = "import sys, time; sys.stdin.read(); time.sleep(5)"
    env = {"PORTAL_SCANNER": f"command:{shlex.join([sys.executable, '-c', slow])}"}
    with fresh_database() as url, LiveServer(tmp_path, database_url=url, env=env) as server:
        api = Api(server.url, server.create_token("ann"))
        batch, session = api.make_batch(), api.open_session(4)
        waiting = [
            threading.Thread(target=api.put, args=(f"/batches/{batch['id']}/files/{n}", b"good"))
            for n in range(IO_THREADS + 2)
        ]
        for thread in waiting:
            thread.start()
        time.sleep(1)
        began = time.monotonic()
        api.put_parts(session, b"good")
        took = time.monotonic() - began
        for thread in waiting:
            thread.join()
    assert took < 3

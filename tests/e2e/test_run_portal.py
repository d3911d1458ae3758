"""`make run` from an empty folder: what it prints works as printed, and it stops when it is told to."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from boot.readiness import ask
from tests.api import Api, expect
from tests.postgres import free_port


def printed_shell(text):
    """Return the lines between the request to paste them and the end."""
    return re.search(r"paste this into a shell\):\n(.*)\nCtrl-C", text, re.DOTALL).group(1)


def test_the_printed_curl_stores_a_file(running_first, need):
    need("curl")
    _, text = running_first("--no-worker")
    done = subprocess.run(["sh", "-e", "-c", printed_shell(text)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    file = json.loads(done.stdout.splitlines()[-1])
    assert (file["status"], file["size_bytes"]) == ("STORED", 14)


def test_the_password_of_the_admin_is_shown_on_the_first_run_alone(running_first):
    process, first = running_first("--no-worker")
    assert re.search(r"/admin/   admin / \S{16,}", first)
    process.terminate()
    assert process.wait(30) == 0
    _, second = running_first("--no-worker")
    assert "admin / " not in second


def test_sigterm_stops_server_and_worker(running):
    process, text = running()
    port = int(re.search(r"answers at http://127.0.0.1:(\d+)", text).group(1))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert process.stdout.read().splitlines()[-2:] == [
        "Stopping: requests that are under way have up to 12 seconds.",
        "Stopped.",
    ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_port_in_use_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "manage.py", "run_portal", "--port", str(port)],
            env=os.environ | {"PORTAL_DATA_DIR": str(tmp_path), "DJANGO_CONFIGURATION": "Dev"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Port {port} on 127.0.0.1 is in use" in done.stderr


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("storage", "The storage cannot be used"),
        ("nowhere", "No folder can be made at /proc/portal"),
        ("database", "The database"),
    ],
)
def test_a_place_that_cannot_be_used_is_said_in_one_line(tmp_path, place, text):
    in_the_way = tmp_path / "in-the-way"
    in_the_way.touch()
    env = os.environ | {"PORTAL_DATA_DIR": str(tmp_path), "DJANGO_CONFIGURATION": "Dev"}
    if place == "database":
        env["DATABASE_URL"] = f"sqlite:///{in_the_way}/portal.sqlite3"
    elif place == "nowhere":
        env["PORTAL_STORAGE_URL"] = "file:///proc/portal"
    else:
        env["PORTAL_STORAGE_URL"] = f"file://{tmp_path}/bytes"
        (tmp_path / "bytes").mkdir()
        (tmp_path / "bytes" / "trash").touch()
    command = [sys.executable, "manage.py", "run_portal", "--port", str(free_port())]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert text in done.stderr


def test_a_port_that_is_no_port_is_refused(running):
    process, text = running("--port", "eighty")
    assert process.wait(30) == 1
    assert not text


def child_of(process, name):
    """Return the id of the child whose command line has `name`; None when there is none."""
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        with contextlib.suppress(OSError):  # it ended this very moment
            if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)


def test_a_server_that_is_killed_is_started_again(running):
    process, text = running("--no-worker")
    url, token = re.search(r"answers at (\S+)", text).group(1), re.search(r"Token +(\S+)", text).group(1)
    first = child_of(process, "granian")
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while child_of(process, "granian") in (first, None) or ask(f"{url}/readyz")[0] != 200:
        assert time.monotonic() < deadline, "it did not come back"
        time.sleep(0.1)
    assert expect(200, Api(url, token).get("/batches"))["results"] == []

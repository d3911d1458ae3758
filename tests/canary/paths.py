"""Ways in which something goes wrong, by name: each takes a Scene and leaves only refusals in its answers."""

import base64
import subprocess
import sys

from tests.canary.scene import FORM, PASSWORD
from tests.patience import wait_until
from tests.server import ROOT

JSON = "Content-Type: application/json"
NOBODY = "01890000-0000-7000-8000-000000000000"


def request(method, target, *lines, body=b"", known=True, host=None):
    """Return a path of one request; `{token}` and `{password}` stand for the secrets, everywhere."""

    def go(scene):
        def fill(text):
            return text.replace("{token}", scene.secrets["token"]).replace("{password}", PASSWORD)

        filled = fill(body.decode("latin-1")).encode("latin-1")
        token = "" if known else None
        scene.ask(method, fill(target), *map(fill, lines), body=filled, token=token, host=host and fill(host))

    return go


def basic(scene):
    """The password by HTTP Basic."""
    pair = base64.b64encode(f"root:{PASSWORD}".encode()).decode()
    scene.secrets["basic"] = pair
    scene.ask("GET", "/batches", f"Authorization: Basic {pair}", token=None)


def login(target, *, csrf=True, **fields):
    """Return a path of one login form."""

    def go(scene):
        scene.log_in(target, csrf=csrf, **fields)
        del scene.answers[0]  # the form itself

    return go


def part_while_store_fails(fault):
    """Return a path of a part that the store does not take."""

    def go(scene):
        session = scene.open_session()
        scene.answers.clear()
        with scene.broken_store(fault):
            scene.ask("PUT", f"/uploads/sessions/{session}/parts/1", body=b"data")

    return go


def download_while_store_fails(scene):
    """A file that the store does not give."""
    file = scene.store_file()
    scene.answers.clear()
    with scene.broken_store("503"):
        scene.ask("GET", f"/files/{file}/content")


def without(table, method, target, *lines, **options):
    """Return a path of one request while a table is missing: a fault in the middle, with a traceback."""

    def go(scene):
        with scene.without_table(table):
            request(method, target, *lines, **options)(scene)

    return go


def login_without_table(scene):
    """A login that fails in the middle."""
    with scene.without_table("axes_accessattempt"):
        login("/login", username="root", password=PASSWORD + "x")(scene)


def revoked(scene):
    """A token that was good once."""
    scene.ask("GET", "/batches", token=scene.secrets["revoked"])


def narrow(scene):
    """A token that may only read."""
    scene.ask("POST", "/batches", JSON, body=b"{}", token=scene.secrets["narrow"])


def command(*arguments, **env):
    """Return a path of a command that fails with odd settings; `{database}` and `{s3}` stand for the secrets."""

    def go(scene):
        filled = {
            name: value.format(database=scene.secrets["database"], s3=scene.secrets["s3"])
            for name, value in env.items()
        }
        done = subprocess.run(
            [sys.executable, ROOT / "manage.py", *arguments],
            env=scene.server.env | filled,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode, done.stdout
        scene.answers.append(done.stdout + done.stderr)

    return go


def delivery(behaviour):
    """Return a path of an event whose receiver does something else than take it."""

    def go(scene):
        before = len(scene.receiver.event_ids)
        scene.receiver.behave = lambda received: behaviour
        scene.store_file()
        scene.answers.clear()
        wait_until(lambda: len(scene.receiver.event_ids) > before)

    return go


PATHS = {
    "another token": request("GET", "/batches", "Authorization: Bearer {token}x", known=False),
    "a token of another kind": request("GET", "/batches", "Authorization: Token {token}", known=False),
    "two tokens": request("GET", "/batches", "Authorization: Bearer {token} {token}", known=False),
    "basic": basic,
    "revoked": revoked,
    "without the scope": narrow,
    "as a query": request("GET", "/batches?token={token}&limit={token}"),
    "as a cursor": request("GET", "/batches?cursor={token}"),
    "as an id": request("GET", "/files/{token}"),
    "as a path": request("GET", "/{token}", known=False),
    "as a path of the byte door": request("PUT", "/uploads/sessions/{token}/parts/1", body=b"data"),
    "as the number of a part": request("PUT", f"/uploads/sessions/{NOBODY}/parts/{{token}}", body=b"data"),
    "as the id of the request": request("GET", f"/batches/{NOBODY}", "X-Request-Id: {token}"),
    "as a host": request("GET", "/batches", host="{token}"),
    "as a cookie": request("GET", "/batches", "Cookie: sessionid={token}; csrftoken={token}", known=False),
    "in many headers": request(
        *(
            "GET",
            f"/files/{NOBODY}/content",
            "User-Agent: {token}",
            "Referer: http://a/{token}",
            "Range: bytes={token}",
        ),
        *("X-Forwarded-For: {token}", "Accept: {token}", "Content-Type: {token}", "If-Match: {token}"),
    ),
    "a digest that is none": request("PUT", f"/uploads/sessions/{NOBODY}/parts/1", "Content-Digest: sha-256=:{token}:"),
    "a key that is none": request("POST", "/batches", JSON, "Idempotency-Key: {token}\x7f" + "x" * 300, body=b"{}"),
    "broken JSON": request("POST", "/batches", JSON, body=b'{"name": "{token}"'),
    "a field of another type": request("POST", "/batches", JSON, body=b'{"name": ["{token}"], "{token}": 1}'),
    "another type of body": request("POST", "/batches", "Content-Type: text/{token}", body=b"{token}"),
    "a broken form": request(
        *("POST", f"/batches/{NOBODY}/files", "Content-Type: multipart/form-data; boundary={token}"), body=b"{token}"
    ),
    "an endpoint with a password": request(
        "POST", "/endpoints", JSON, body=b'{"url": "https://root:{password}@example.org/{token}"}'
    ),
    "a login with another name": login("/login", username="nobody", password=PASSWORD),
    "a login without CSRF": login("/login", csrf=False, username="root", password=PASSWORD),
    "a login with the password in the address": login(f"/login?password={PASSWORD}", username="root", password="x"),
    "a login to the admin": login("/admin/login/", username="nobody", password=PASSWORD),
    "a login in the middle of a fault": login_without_table,
    "a form that is no form": request("POST", "/login", FORM, body=b"%%%{password}", known=False),
    "the store answers 503": part_while_store_fails("503"),
    "the store hangs up": part_while_store_fails("reset"),
    "the store gives no file": download_while_store_fails,
    "a fault in Django": without("portal_uploadbatch", "POST", "/batches", JSON, body=b'{"name": "{token}"}'),
    "a fault where tokens are looked up": without("portal_apitoken", "GET", "/batches"),
    "a fault in the byte door": without(
        "portal_uploadsession", "PUT", f"/uploads/sessions/{NOBODY}/parts/1", body=b"x"
    ),
    "the receiver answers 500": delivery("error"),
    "the receiver hangs up": delivery("reset"),
    "the receiver talks garbage": delivery("garbage"),
    "the receiver leads elsewhere": delivery("redirect"),
    "the receiver wants no more": delivery("gone"),
    "a database that is not there": command("migrate", DATABASE_URL="postgres://u:{database}@127.0.0.1:1/x"),
    "a database URL that is none": command("check", DATABASE_URL="postgres://u:{database}/@h:{database}/x"),
    "a storage URL that is none": command("check", PORTAL_STORAGE_URL="s3://key:{s3}@bucket?secret={s3}&region=x"),
}

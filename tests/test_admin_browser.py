"""A hundred hostile file names in a real browser: none of them runs a script, on any of the operators' pages."""

import html
import http.server
import re
import subprocess
import threading

import pytest
import requests

from tests.transfer.hostile_names import PLAIN

MARK = "data-a-script-ran"
RUN = f"top.document.documentElement.setAttribute('{MARK}','yes')"
#: Where a name may stand in a page, and how one would get out of there.
FRAMES = [
    "<script>{}</script>",
    "</script><script>{}</script>",
    '"><script>{}</script>',
    "'><script>{}</script>",
    "</title><script>{}</script>",
    "</textarea><script>{}</script>",
    "--><script>{}</script>",
    "]]><script>{}</script>",
    '<img src=x onerror="{}">',
    '"><img src=x onerror={}>',
    "' autofocus onfocus={} x='",
    "<svg onload={}>",
    "<details open ontoggle={}>",
    "<iframe srcdoc='<script>{}</script>'>",
    "&lt;script&gt;{}&lt;/script&gt;",
    "\\u003cscript\\u003e{}\\u003c/script\\u003e",
    "javascript:{}",
    "{{{{ '' }}}}<script>{}</script>",
    "<scr<script>ipt>{}</scr</script>ipt>",
    "\u202e<script>{}</script>",
]
HOSTILE = [frame.format(RUN) for frame in FRAMES]
#: Mixed with names that have broken other things.
SENT = [*HOSTILE, *PLAIN][:100]


class Window(http.server.ThreadingHTTPServer):
    """The portal as a logged-in operator sees it, on a port of its own, without the policy that forbids scripts.

    Were a name to become a script, nothing but the escaping would hold it back. `/frames` shows many pages at once.
    """

    daemon_threads = True

    def __init__(self, portal, cookies, pages):
        self.portal, self.cookies, self.pages, self.shown = portal, cookies, pages, {}
        super().__init__(("127.0.0.1", 0), _View)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self):
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _View(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/frames":
            frames = "".join(f'<iframe src="{html.escape(page)}"></iframe>' for page in self.server.pages)
            return self.answer(200, "text/html", f"<!DOCTYPE html><title>frames</title>{frames}".encode())
        if self.path == "/unsafe":
            return self.answer(200, "text/html", f"<!DOCTYPE html><p>{HOSTILE[8]}</p>".encode())
        came = requests.get(self.server.portal + self.path, cookies=self.server.cookies, timeout=30)
        return self.answer(came.status_code, came.headers.get("Content-Type", ""), came.content)

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)
        self.server.shown[self.path] = status

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def operator(portal_server):
    """The cookies of a superuser."""
    make = "from django.contrib.auth import get_user_model as m; m().objects.create_superuser('op', password='pw-op')"
    portal_server.manage("shell", "--verbosity=0", "--command", make)
    with requests.Session() as session:
        page = session.get(f"{portal_server.url}/admin/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        form = {"username": "op", "password": "pw-op", "csrfmiddlewaretoken": token, "next": "/admin/"}
        assert "Log out" in session.post(f"{portal_server.url}/admin/login/", form).text
        return session.cookies.get_dict()


def look(chromium, address, folder):
    """Return the document that the browser has made of a page once all of it is there and its scripts have run."""
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    where = [f"--user-data-dir={folder}", "--proxy-server=direct://", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([chromium, *quiet, *where, address], capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode()


def test_no_name_runs_a_script_in_a_browser(portal_server, ann_api, operator, need, tmp_path):
    chromium = need("chromium")
    files = [ann_api.open_session(0, original_filename=name)["file_id"] for name in SENT]
    assert len(files) == 100
    base = "/admin/portal"
    pages = [f"{base}/ingestfile/?all=", f"{base}/ingestfile/?q=script", f"{base}/uploadsession/?all="]
    pages += [f"{base}/ingestfile/{file}/change/" for file in files[: len(HOSTILE)]]
    with Window(portal_server.url, operator, pages) as window:
        seen = look(chromium, f"{window.url}/frames", tmp_path / "a")
        assert "<iframe" in seen
        assert MARK not in seen
        assert {window.shown[page] for page in pages} == {200}
        assert any(path.endswith(".js") for path in window.shown)
        # As this one does, which shows that the browser runs scripts and the mark is seen.
        assert f'{MARK}="yes"' in look(chromium, f"{window.url}/unsafe", tmp_path / "b").partition("<p>")[0]
        window.shutdown()

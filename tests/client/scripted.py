"""A server that gives the answers that a test has written down, and remembers what it was asked."""

import json
import socketserver
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

#: What a portal answers about nothing, and about what it takes.
NO_FILES = {"results": [], "next": None}
LIMITS = {
    "max_file_size_bytes": 10**9,
    "chunk_size_bytes": 2**23,
    "max_parts": 10**4,
    "max_bulk_files": 1000,
    "session_ttl_seconds": 3600,
}


@dataclass(frozen=True)
class Scripted:
    """One answer; `drop` closes the connection instead, `hang` keeps it open and says nothing."""

    status: int = 200
    members: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    drop: bool = False
    hang: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict
    body: bytes


class ScriptedServer:
    """A context manager: `answers` are given in order, the last one again and again; `asked` is what came."""

    def __init__(self):
        self.answers, self.asked, self.over = [], [], threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append(Asked(self.command, self.path, headers, self.rfile.read(length)))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer.hang:
                    outer.over.wait(60)
                if answer.drop or answer.hang:
                    self.close_connection = True
                    return
                body = json.dumps(answer.members).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Length": len(body), **answer.headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


def problem(status, code, **headers):
    """Return the answer that refuses with `code`; `retry_after` becomes its header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status, {"status": status, "code": code, "detail": f"It is {code}."}, named)

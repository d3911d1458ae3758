"""A connection to a server that may die at any moment: an answer, or the knowledge that it was lost."""

import http.client
import json
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

#: No answer takes longer from a server that lives: one that does is a fault, not a crash.
ANSWER_SECONDS = 60
#: What a server may say that is overloaded, or a request that meets another one; any other 5xx is a fault.
TRY_AGAIN = ("server_busy", "database_unavailable", "part_busy", "file_busy", "idempotency_in_progress")


class Lost(Exception):
    """No answer came: nobody knows whether the request was carried out."""


@dataclass(frozen=True)
class Answer:
    """What came back; `members` are those of a JSON body."""

    status: int
    body: bytes
    members: dict
    excused: tuple = TRY_AGAIN

    @property
    def code(self):
        """The slug of a problem."""
        return self.members.get("code")

    @property
    def again(self):
        """Whether the same request is to be sent later."""
        return self.status == 429 or self.code in self.excused


class Line:
    """One connection of one thread, opened when need be; `fault(text)` hears of what a server must never do.

    `excused` are the codes of answers after which the same request is sent later.
    """

    def __init__(self, url, token, fault, excused=TRY_AGAIN):
        self.address, self.token, self.fault, self.excused = urlsplit(url).netloc, token, fault, excused
        self.connection = None
        #: The Answer that came last.
        self.last = None
        #: How often which status came; `lost` counts the answers that did not, `refused` no server.
        self.statuses = Counter()

    def ask(self, method, path, body=None, **headers):
        """Send one request and return its Answer, or raise Lost; a dict becomes JSON."""
        if isinstance(body, dict):
            body, headers["content_type"] = json.dumps(body).encode(), "application/json"
        try:
            self._connect()
            self.connection.request(method, path, body, self._headers(headers))
            response = self.connection.getresponse()
            answer = self.last = self._read(response)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self.statuses["refused" if isinstance(error, ConnectionRefusedError) else "lost"] += 1
            if isinstance(error, TimeoutError):
                self.fault(f"{method} {path} had no answer for {ANSWER_SECONDS} s")
            raise Lost from error
        self.statuses[answer.status] += 1
        if answer.status >= 500 and not answer.again:
            self.fault(f"{method} {path} was answered {answer.status} {answer.body[:300]!r}")
        return answer

    def pages(self, path):
        """Yield the results of a list, page by page; raises Lost as `ask` does."""
        while path:
            answer = self.ask("GET", path)
            if answer.status != 200:
                raise Lost
            yield from answer.members["results"]
            following = urlsplit(answer.members["next"] or "")
            path = f"{following.path}?{following.query}" if following.path else None

    def break_off(self, path, body):
        """Begin a PUT, send half of its body, and go away; raises Lost when there is no server."""
        try:
            self._connect()
            self.connection.putrequest("PUT", path)
            for name, value in self._headers({"content_length": str(len(body))}).items():
                self.connection.putheader(name, value)
            self.connection.endheaders(body[: len(body) // 2])
        except (OSError, http.client.HTTPException) as error:
            raise Lost from error
        finally:
            self.close()

    def close(self):
        """Close the connection; the next request opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _connect(self):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=ANSWER_SECONDS)

    def _headers(self, more):
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {self.token}"} | named

    def _read(self, response):
        body = response.read()
        is_json = "json" in (response.headers.get_content_type() or "")
        return Answer(response.status, body, json.loads(body) if is_json and body else {}, self.excused)

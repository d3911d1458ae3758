"""Requests to one portal over kept connections, each sent again until it is answered or patience is at its end."""

import json
import platform
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError

from portal_client import __version__
from portal_client.addresses import clean_token, split_address
from portal_client.answers import Answer, make_error
from portal_client.bodies import BLOCK_BYTES, Body, Bytes, Outgoing, Sent
from portal_client.errors import PortalError, Stopped
from portal_client.retries import Tries
from portal_client.waits import Waits

#: A portal that is silent is waited for no longer than patience lasts, but as long as a connection may take.
CONNECT_SECONDS, READ_SECONDS = 15.0, 120.0
#: The most patience with a store that is not the portal.
ELSEWHERE_SECONDS = 30.0
AGENT = f"portal-client/{__version__} Python/{platform.python_version()}"


class Transport:
    """One portal and one token; may be used by many threads at once.

    `connections` are kept open at most; `patience` are the seconds for which a request is tried again. Once `stop`
    is set, every call raises Stopped as soon as it can.
    """

    def __init__(self, url: str, token: str, *, connections: int, patience: float) -> None:
        url, token = url.strip(), clean_token(token)
        parts = split_address(url)
        self.url = url.rstrip("/")
        self.patience = patience
        self.stop = threading.Event()
        self.waits = Waits(self.url)
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._connections = connections
        self._pool = self._make_pool(parts.scheme, parts.hostname or "")
        self._strangers: dict[str, urllib3.PoolManager] = {}

    def _make_pool(self, scheme: str, host: str) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "maxsize": self._connections,
            "block": True,
            "blocksize": BLOCK_BYTES,
            "timeout": urllib3.Timeout(
                connect=CONNECT_SECONDS, read=min(READ_SECONDS, max(CONNECT_SECONDS, self.patience))
            ),
        }
        proxy = urllib.request.getproxies().get(scheme)
        loopback = host in ("localhost", "::1") or host.startswith("127.")
        if proxy and not loopback and not urllib.request.proxy_bypass(host):
            return urllib3.ProxyManager(proxy, **options)
        return urllib3.PoolManager(**options)

    def call(
        self,
        method: str,
        path: str,
        *,
        content: Any = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        sent: Sent | None = None,
    ) -> Answer:
        """Return the answer of success to one request, whose `path` is below the portal's address.

        `content` becomes JSON; `body` is sent as it is, with its digest. Raises ApiError, Unreachable, Stopped,
        SourceFailed. The request must be safe to repeat.
        """
        fields = {"User-Agent": AGENT, "Accept": "application/json", **self._authorization, **(headers or {})}
        if content is not None:
            body = Bytes(json.dumps(content).encode())
            fields["Content-Type"] = "application/json"
        digest = body.digest() if body is not None else ""
        if digest:
            fields["Content-Digest"] = digest
        return self._until_answered(self._pool, method, self.url + path, fields, body, sent, self.tries())

    def send_elsewhere(
        self, method: str, url: str, body: Body, headers: Mapping[str, str], sent: Sent | None = None
    ) -> Answer:
        """Send a body to a signed URL, without the token; raises as `call` does, sooner: the portal takes it too."""
        # The client's library writes these two itself.
        fields = {name: value for name, value in headers.items() if name.lower() not in ("content-length", "host")}
        tries = Tries(min(self.patience, ELSEWHERE_SECONDS), self.stop)
        return self._until_answered(
            self._stranger(url), method, url, {"User-Agent": AGENT, **fields}, body, sent, tries
        )

    def open(self, path: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Return the response to one GET, its body still to be read; follows one redirect, without the token.

        Tries once: raises urllib3's HTTPError, ApiError.
        """
        fields = {"User-Agent": AGENT, **headers}
        response = self._pool.urlopen(
            "GET",
            self.url + path,
            headers=fields | self._authorization,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        location = response.headers.get("Location")
        if response.status in (302, 303, 307, 308) and location:
            response.release_conn()
            response = self._stranger(location).urlopen(
                "GET", location, headers=fields, retries=False, redirect=False, preload_content=False
            )
        if response.status >= 300:
            answer = Answer(response.status, response.headers, response.read())
            response.release_conn()
            raise make_error(answer.status, answer.members, answer.headers)
        return response

    def tries(self) -> Tries:
        """Return the tries of one more request."""
        return Tries(self.patience, self.stop, self.waits)

    def pause(self, seconds: float) -> None:
        """Wait; raises Stopped when the work is called off meanwhile."""
        if self.stop.wait(seconds):
            raise Stopped("The work was called off.")

    def _stranger(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}"
        if place not in self._strangers:
            self._strangers[place] = self._make_pool(parts.scheme, parts.hostname or "")
        return self._strangers[place]

    def _until_answered(
        self,
        pool: urllib3.PoolManager,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | None,
        sent: Sent | None,
        tries: Tries,
    ) -> Answer:
        while True:
            if self.stop.is_set():
                raise Stopped("The work was called off.")
            outgoing = Outgoing(body, self.stop, sent)
            try:
                answer = self._send(pool, method, url, headers, outgoing)
            except LocationParseError as error:
                raise PortalError(f"Not an address: {url}") from error
            except (HTTPError, OSError) as error:
                outgoing.take_back()
                tries.pause(error)
                continue
            if answer.status < 300:
                return answer
            outgoing.take_back()
            refusal = make_error(answer.status, answer.members, answer.headers)
            if not refusal.passing and not refusal.doubtful:
                raise refusal
            tries.pause(refusal)

    @staticmethod
    def _send(
        pool: urllib3.PoolManager, method: str, url: str, headers: Mapping[str, str], outgoing: Outgoing
    ) -> Answer:
        fields = dict(headers)
        if outgoing.body is not None:
            fields["Content-Length"] = str(outgoing.body.size)
        response = pool.urlopen(
            method,
            url,
            body=outgoing if outgoing.body is not None else None,
            headers=fields,
            retries=False,
            redirect=False,
        )
        return Answer(response.status, response.headers, response.data)

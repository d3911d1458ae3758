"""The server's application: bytes go to portal/transfer/, all else to Django; each request has an id and a log line."""

import os
import re
import time

from boot.lean import lean_start, read_settings_quickly

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boot.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")
with lean_start():
    import configurations

    configurations.setup()
    read_settings_quickly()

    # What follows reads settings and models when it is imported.
    import structlog
    from configurations.wsgi import application as django_application
    from django.conf import settings
    from django.db import DEFAULT_DB_ALIAS, connections
    from django.urls import Resolver404, resolve
    from uuid_utils import uuid7

    import boot.urls  # noqa: F401 - else the first request would wait for it
    from boot.logs import TOKEN, line_logger
    from boot.proxies import apply_forwarded
    from boot.stopping import tell_stop
    from boot.wsgi_bridge import WsgiBridge
    from portal import metrics, tracing
    from portal.transfer.app import find_route, serve
    from portal.transfer.live import hub

#: What the database does not answer by then is a 503; a worker and a command wait for it (boot/postgresql).
connections.settings[DEFAULT_DB_ALIAS]["ANSWER_SECONDS"] = 30.0

logger = line_logger("portal.request", settings.LOGGING["root"]["level"])
bridge = WsgiBridge(django_application)

REQUEST_ID_FORM = re.compile(rb"[A-Za-z0-9._-]{1,64}")
#: Asked every few seconds by whoever watches the portal; logged at debug.
QUIET_PATHS = {"/healthz", "/readyz", "/metrics"}
#: What a placeholder of Django's routes becomes in a metric's label.
PLACEHOLDER = re.compile(r"<[^>]+>")
#: Of others only their number is known: whoever makes up methods or paths makes no metrics.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
OTHER = "other"
TRACE_HEADERS = (b"traceparent", b"tracestate")


async def application(scope, receive, send):
    """Answer one ASGI connection: a request, or the server's own start and end; refuses anything else."""
    if scope["type"] == "lifespan":
        return await _live(receive, send)
    if scope["type"] != "http":
        raise ValueError(f"not a request: {scope['type']}")
    scope = apply_forwarded(scope, settings.PORTAL_TRUSTED_PROXIES)
    meter = Meter(scope, receive, send)
    del receive, send
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=meter.request_id)
    with _span_of(scope) as tell:
        try:
            found = find_route(scope)
            meter.route = found[0].path if found else find_django_route(scope["path"])
            if found:
                tell_stop(hub.close)
                await serve(*found, scope, meter.receive, meter.send)
            else:
                await bridge(scope, meter.receive, meter.send)
        finally:
            meter.end()
            meter.let_go()
            tell(f"{meter.method} {meter.route}", http__route=meter.route, ingest__request_id=meter.request_id)
            tell(http__response__status_code=meter.status)


def _span_of(scope):
    """Open the span of a request, in the trace that it came with; what is asked every few seconds has none."""
    if not tracing.is_on() or scope["path"] in QUIET_PATHS:
        return tracing.NO_SPAN
    carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in TRACE_HEADERS}
    method = method_of(scope)
    return tracing.span(method, "SERVER", carrier=carrier, http__request__method=method)


def method_of(scope):
    """Return the method of a request, OTHER for one that HTTP does not know."""
    return scope["method"] if scope["method"] in METHODS else OTHER


def find_django_route(path):
    """Return the form of the route that Django has for `path`, with each placeholder as {id}."""
    if path.startswith(settings.STATIC_URL):
        return settings.STATIC_URL
    try:
        return "/" + PLACEHOLDER.sub("{id}", resolve(path).route)
    except Resolver404:
        return OTHER


async def _live(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            metrics.tallies.share(settings.PORTAL_DATA_DIR / "metrics")
            if settings.PORTAL_TRACING:
                tracing.start("portal")
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            tracing.stop()
            return


def read_request_id(scope):
    """Return the X-Request-Id that came, if it is a plain word of at most 64 characters and no token, or a new one."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and REQUEST_ID_FORM.fullmatch(given[0]) and not TOKEN.search(text := given[0].decode("ascii")):
        return text
    return uuid7().hex


class Meter:
    """Counts what goes in and out of one request and writes its log line; never headers, bodies or queries."""

    def __init__(self, scope, receive, send):
        self.request_id, self.method = read_request_id(scope), method_of(scope)
        self.status, self.route = None, OTHER
        self.received = self.sent = 0
        self._scope, self._receive, self._send = scope, receive, send
        self._started_at = time.perf_counter()

    async def receive(self):
        """Pass on a message of the client, its body counted."""
        message = await self._receive()
        self.received += len(message.get("body", b""))
        return message

    async def send(self, message):
        """Pass on a message to the client: the id goes with the status, the body is counted."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [pair for pair in message["headers"] if pair[0] != b"x-request-id"]
            message = message | {"headers": [*headers, (b"x-request-id", self.request_id.encode())]}
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)

    def let_go(self):
        """Drop the connection: the server closes one that has body left only when nobody holds it any more.

        An error keeps its frames, and they keep what they were called with, until the garbage collector comes by:
        by itself a refused client that has stopped sending would hold its place for minutes.
        """
        self._receive = self._send = None

    def end(self):
        """Count the request, and write its one line; what is asked every few seconds only at debug."""
        seconds = time.perf_counter() - self._started_at
        method = self.method
        metrics.observe(metrics.HTTP_SECONDS, (method, self.route), seconds)
        metrics.count(
            (metrics.HTTP_REQUESTS, (method, self.route, str(self.status or OTHER)), 1),
            (metrics.HTTP_RECEIVED, (self.route,), self.received),
            (metrics.HTTP_SENT, (self.route,), self.sent),
        )
        path = self._scope["path"]
        write = logger.debug if path in QUIET_PATHS else logger.info
        write(
            "request",
            method=self._scope["method"],
            path=path,
            status=self.status,
            milliseconds=round(seconds * 1000, 1),
            request_bytes=self.received,
            response_bytes=self.sent,
        )

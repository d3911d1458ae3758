"""Spans reach a collector that speaks OTLP over HTTP; without one nothing is held up, and nothing secret is in any."""

import http.server
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from portal import tracing
from tests.api import Api, expect
from tests.patience import wait_until
from tests.receiver import SECRET, Receiver
from tests.samples import CHUNK
from tests.server import LiveServer

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


class Collector:
    """Takes spans at /v1/traces; `spans` are `(service, span)` in the order in which they came."""

    def __init__(self):
        self.spans = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def take(self, message):
        for resource in message.resource_spans:
            service = attributes(resource.resource)["service.name"]
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]

    def find(self, service, name):
        """Return the first span of this name that the service has sent; waits for it."""
        wait_until(lambda: any((service, name) == (sender, span.name) for sender, span in self.spans))
        return next(span for sender, span in self.spans if (service, name) == (sender, span.name))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def attributes(of):
    """Return the attributes as a dict of plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


def sender(url):
    """Return the environment of a portal that sends spans there."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "50", "PORTAL_FINALIZE_INLINE_BYTES": "0"}


def test_a_request_a_finalize_and_a_delivery_are_spans(tmp_path, fresh_database):
    with Collector() as collector, Receiver() as receiver, fresh_database() as url:
        env = sender(collector.url) | {"PORTAL_RUNNER_ENDPOINT": receiver.url, "PORTAL_RUNNER_SECRET": SECRET}
        with LiveServer(tmp_path, database_url=url, env=env, run_worker=True) as server:
            token = server.create_token("ann")
            api = Api(server.url, token)
            session = api.open_session(9 * 2**20, original_filename="secret.txt", chunk_size_bytes=16 * 2**20)
            data = bytes(9 * 2**20)
            expect(200, api.put_part(session, 1, data, headers=PARENT))
            wait_until(lambda: api.finalize(session).status_code == 200)
            wait_until(lambda: receiver.received)
            part = collector.find("portal", "PUT /uploads/sessions/{id}/parts/{n}")
            finalize = collector.find("portal-worker", "finalize")
            deliver = collector.find("portal-worker", "deliver")
    assert part.trace_id.hex() == TRACE
    assert part.parent_span_id.hex() == PARENT["traceparent"].split("-")[2]
    told = attributes(part)
    assert (told["http.request.method"], told["http.response.status_code"]) == ("PUT", 200)
    assert (told["http.route"], len(told["ingest.request_id"])) == ("/uploads/sessions/{id}/parts/{n}", 32)
    assert attributes(finalize) == {"ingest.files": 1, "ingest.bytes": 9 * 2**20}
    assert attributes(deliver)["http.response.status_code"] == 204
    sent = receiver.received[0].headers["traceparent"].split("-")
    assert sent[1:3] == [deliver.trace_id.hex(), deliver.span_id.hex()]
    text = str(collector.spans)
    assert token not in text
    assert "secret.txt" not in text
    assert session["session_id"] not in text


def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(tmp_path, fresh_database):
    with fresh_database() as url, LiveServer(tmp_path, database_url=url, env=sender("http://127.0.0.1:9")) as server:
        Api(server.url, server.create_token("ann")).store(bytes(CHUNK))
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10


def test_an_error_leaves_its_status_and_not_its_words():
    with Collector() as collector:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            tracing.start("tests")
        try:
            with pytest.raises(ValueError, match="secret"), tracing.span("fails"):
                raise ValueError("secret")
        finally:
            tracing.stop()
        span = collector.find("tests", "fails")
    assert (span.status.code, span.status.message, list(span.events)) == (2, "", [])


def test_nothing_is_traced_unless_it_is_wanted():
    with tracing.span("nothing") as tell:
        tell("name", a__b=1)
    headers = {"a": "b"}
    assert tracing.traced(headers) is headers


def test_without_the_extra_the_portal_runs(monkeypatch, caplog):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tracing.importlib, "import_module", missing)
    tracing.start("tests")
    assert "no spans are sent: Install the extra" in caplog.text
    assert tracing._api is None

"""Spans for OpenTelemetry: none at all unless `start` was called, which needs the extra `tracing`.

Spans carry routes, ids, statuses and sizes; never names, paths that a client sent, headers or what an error says.
"""

import importlib
import logging
import threading
from contextlib import contextmanager, nullcontext

#: A collector that does not answer holds up no stop for longer.
STOP_SECONDS = 3
_api = None
logger = logging.getLogger("portal.tracing")


def _tell_nobody(name=None, **attributes):
    pass


#: What stands for a span where there is none.
NO_SPAN = nullcontext(_tell_nobody)


class TracingUnavailable(Exception):
    """The extra is not installed."""


def load():
    """Return the modules `(trace, propagate, sdk.trace, sdk.trace.export, sdk.resources, exporter)` of OpenTelemetry.

    Raises TracingUnavailable.
    """
    names = "trace propagate sdk.trace sdk.trace.export sdk.resources exporter.otlp.proto.http.trace_exporter"
    try:
        return [importlib.import_module(f"opentelemetry.{name}") for name in names.split()]
    except ImportError as error:
        raise TracingUnavailable("Install the extra `tracing`: pip install 'ingest-portal[tracing]'.") from error


def start(service):
    """Send spans as `service` from now on, to where the variables of the OpenTelemetry SDK say; once per process.

    Without the extra there are none, and the log says so.
    """
    global _api
    try:
        trace, propagate, sdk, export, resources, otlp = load()
    except TracingUnavailable as error:
        logger.error("no spans are sent: %s", error)
        return
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES stand over the name.
    resource = resources.Resource({"service.name": service}).merge(resources.OTELResourceDetector().detect())
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    _api = trace, propagate, provider, provider.get_tracer("portal")


def stop():
    """Send what is left, for STOP_SECONDS at most."""
    global _api
    if _api is not None:
        _, _, provider, _ = _api
        _api = None
        last = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(STOP_SECONDS)


def is_on():
    """Whether spans are sent."""
    return _api is not None


def span(name, kind="INTERNAL", *, carrier=None, **attributes):
    """Measure what happens inside; yields `tell(name=None, **attributes)`, which adds to the span.

    `carrier` is a mapping of headers with the span that this one belongs to (W3C traceparent). A dot in the name of
    an attribute is written as two underscores.
    """
    return NO_SPAN if _api is None else _open_span(name, kind, carrier, attributes)


@contextmanager
def _open_span(name, kind, carrier, attributes):
    trace, propagate, _, tracer = _api
    context = None if carrier is None else propagate.extract(carrier)
    options = {"kind": trace.SpanKind[kind], "record_exception": False, "set_status_on_exception": False}
    with tracer.start_as_current_span(name, context, attributes=_dotted(attributes), **options) as current:

        def tell(name=None, **attributes):
            if name:
                current.update_name(name)
            current.set_attributes(_dotted(attributes))

        try:
            yield tell
        except BaseException:
            current.set_status(trace.StatusCode.ERROR)
            raise


def traced(headers):
    """Return the headers with those that tell whoever gets them of the span that is open."""
    if _api is None:
        return headers
    headers = dict(headers)
    _api[1].inject(headers)
    return headers


def _dotted(attributes):
    return {name.replace("__", "."): value for name, value in attributes.items() if value is not None}

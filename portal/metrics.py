"""Every metric that the portal tells of at /metrics, and how the processes count.

A gauge is read from the rows when somebody asks (`portal.services.gauges`): the database is the truth, whichever
process answers. A counter or histogram is kept by each process in a file that its neighbours on this machine read
(`portal.tallies`), so any of them answers for all. Prometheus' own mode for several processes does the same with
files whose space nobody has reserved: on a full disk they end the process.
"""

from dataclasses import dataclass

from portal.tallies import Tallies

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


@dataclass(frozen=True)
class Metric:
    """One metric: its name, its kind, what it tells, the names of its labels, the upper bounds of its buckets."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


HTTP_REQUESTS = Metric(
    "portal_http_requests_total", COUNTER, "Requests that were answered.", ("method", "route", "status")
)
HTTP_SECONDS = Metric(
    "portal_http_seconds",
    HISTOGRAM,
    "Seconds from the head of a request to the end of its answer.",
    ("method", "route"),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
HTTP_RECEIVED = Metric("portal_http_received_bytes_total", COUNTER, "Bytes of request bodies.", ("route",))
HTTP_SENT = Metric("portal_http_sent_bytes_total", COUNTER, "Bytes of answers' bodies.", ("route",))
FILES_ENDED = Metric("portal_files_total", COUNTER, "Files that became STORED or FAILED.", ("status",))
FILE_BYTES = Metric("portal_files_bytes_total", COUNTER, "Bytes of files that became STORED.")
FINALIZE_SECONDS = Metric(
    "portal_finalize_seconds",
    HISTOGRAM,
    "Seconds of work on a claimed finalize, by the status that the session had afterwards.",
    ("status",),
    (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800),
)

UPLOADS = Metric("portal_uploads", GAUGE, "Sessions that have not ended.", ("status",))
UPLOAD_BYTES = Metric("portal_upload_bytes", GAUGE, "Bytes declared by sessions that have not ended.", ("status",))
OUTBOX_DEPTH = Metric(
    "portal_outbox_depth",
    GAUGE,
    "Events without a number (unnumbered), and deliveries to be made (pending) or given up (dead).",
    ("state",),
)
OUTBOX_AGE = Metric(
    "portal_outbox_oldest_seconds",
    GAUGE,
    "How long the oldest event has been unnumbered, or pending for an enabled endpoint; 0 without any.",
)
CLAIM_AGE = Metric(
    "portal_oldest_claim_seconds",
    GAUGE,
    "Age of the oldest finalize that is under way, and how far the lease of a part's claim ran out; 0 without any.",
    ("kind",),
)
OVERDUE = Metric("portal_overdue_sessions", GAUGE, "Open sessions past their lifetime.")
STORED_FILES = Metric("portal_stored_files", GAUGE, "STORED files.")
STORED_BYTES = Metric("portal_stored_bytes", GAUGE, "Bytes of STORED files.")
DRIFT = Metric("portal_drift", GAUGE, "Counters that differed from the rows in the last whole recount.")
RECOUNT_AGE = Metric("portal_recount_age_seconds", GAUGE, "Seconds since the last whole recount ended.")
WORKERS = Metric("portal_workers", GAUGE, "Workers, by whether they were heard of lately.", ("state",))
FREE_BYTES = Metric("portal_storage_free_bytes", GAUGE, "Bytes that still fit into the storage, where that is known.")

#: In the order in which they are told.
METRICS = (
    HTTP_REQUESTS,
    HTTP_SECONDS,
    HTTP_RECEIVED,
    HTTP_SENT,
    FILES_ENDED,
    FILE_BYTES,
    FINALIZE_SECONDS,
    UPLOADS,
    UPLOAD_BYTES,
    OUTBOX_DEPTH,
    OUTBOX_AGE,
    CLAIM_AGE,
    OVERDUE,
    STORED_FILES,
    STORED_BYTES,
    DRIFT,
    RECOUNT_AGE,
    WORKERS,
    FREE_BYTES,
)

tallies = Tallies()


def count(*amounts):
    """Add to counters; each of `amounts` is `(metric, labels, amount)`."""
    tallies.add(((metric.name, *labels), amount) for metric, labels, amount in amounts)


def count_stored(files, size):
    """So many files, of `size` bytes together, became STORED."""
    count((FILES_ENDED, ("STORED",), files), (FILE_BYTES, (), size))


def count_failed(files):
    """So many files became FAILED."""
    count((FILES_ENDED, ("FAILED",), files))


def observe(metric, labels, value):
    """Put one value, such as seconds, into a histogram."""
    bound = next((str(bound) for bound in metric.bounds if value <= bound), "+Inf")
    tallies.add([((metric.name, *labels, "le", bound), 1), ((metric.name, *labels, "sum"), value)])

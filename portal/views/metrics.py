"""/metrics: what the portal counts and how it is, for Prometheus."""

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from rest_framework.views import APIView

from portal import access, metrics
from portal.services.gauges import read_gauges
from portal.storage import get_storage
from portal.views.auth import HasScope
from portal.views.hosts import is_local

FAMILIES = {
    metrics.COUNTER: CounterMetricFamily,
    metrics.GAUGE: GaugeMetricFamily,
    metrics.HISTOGRAM: HistogramMetricFamily,
}
#: In the description: a token, a browser session, or neither.
AUTH: list = [{"bearerAuth": []}, {"cookieAuth": []}, {}]


class LocalOrService(HasScope):
    """Lets in who asks from this machine, and a token with the scope of the view."""

    def has_permission(self, request, view):
        """Raise NotAuthenticated or InsufficientScope for others."""
        return is_local(request) or super().has_permission(request, view)


class MetricsView(APIView):
    """GET: metrics in Prometheus' text form; without a token from this machine itself."""

    scopes = {"GET": (access.SERVICE,)}
    permission_classes = (LocalOrService,)

    def perform_authentication(self, request):
        """Ask for credentials only where they are needed: those of no use harm nobody who is let in anyway."""
        if not is_local(request):
            super().perform_authentication(request)

    @extend_schema(operation_id="get_metrics", responses={(200, "text/plain"): str}, auth=AUTH)
    def get(self, request):
        """Show every metric of portal/metrics.py: counts of all processes of this machine, gauges from the rows."""
        return HttpResponse(generate_latest(Told()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Told:
    """All metrics as they are now, in the form that prometheus-client writes out."""

    def collect(self):
        """Yield a family for each metric, in the order of portal/metrics.py."""
        families = {m.name: FAMILIES[m.kind](m.name, m.help, labels=m.labels) for m in metrics.METRICS}
        for metric, labels, value in read_gauges(find_storage=get_storage):
            families[metric.name].add_metric(labels, value)
        counts = metrics.tallies.read()
        for metric in metrics.METRICS:
            if metric.kind == metrics.COUNTER:
                add_counts(families[metric.name], metric, counts)
            elif metric.kind == metrics.HISTOGRAM:
                add_buckets(families[metric.name], metric, counts)
        return families.values()


def add_counts(family, metric, counts):
    """Add the counts of a counter, by its labels."""
    for (name, *labels), value in sorted(counts.items()):
        if name == metric.name:
            family.add_metric(labels, value)


def add_buckets(family, metric, counts):
    """Add the buckets of a histogram: each with all that is below it, as Prometheus has it."""
    width = len(metric.labels)
    found = {key[1 : 1 + width] for key in counts if key[0] == metric.name}
    for labels in sorted(found):
        below, buckets = 0.0, []
        for bound in (*map(str, metric.bounds), "+Inf"):
            below += counts[metric.name, *labels, "le", bound]
            buckets.append((bound, below))
        family.add_metric(labels, buckets, counts[metric.name, *labels, "sum"])

"""/metrics: who may ask, what it tells, and that any process tells it for all."""

import pytest
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from portal.metrics import METRICS
from portal.storage import StorageMisconfigured, StorageUnavailable
from tests.api import Api, expect
from tests.patience import wait_until
from tests.samples import make_batch, make_caller, make_token, open_session, store_file
from tests.server import LiveServer
from tests.services.situations import failing
from tests.views.shapes import problem, read_metrics


def names(response):
    """Return the names of all families of an answer, as portal/metrics.py has them."""
    families = text_string_to_metric_families(response.content.decode())
    return {family.name + "_total" * (family.type == "counter") for family in families}


def test_it_tells_of_each_metric_and_of_no_other(client, db):
    assert names(client.get("/metrics")) == {metric.name for metric in METRICS}


STRANGERS = [
    {"REMOTE_ADDR": "203.0.113.9"},
    {"REMOTE_ADDR": "10.0.0.1"},
    {"HTTP_HOST": "portal.example.org"},
    {"portal.forwarded": True},
    {"REMOTE_ADDR": ""},
]


@pytest.mark.parametrize("environ", STRANGERS, ids=["public", "private", "by its name", "by a proxy", "unknown"])
def test_who_is_not_on_this_machine_needs_the_scope_service(client, ann, environ, monkeypatch):
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["portal.example.org", "testserver", "localhost"])
    environ = {"HTTP_HOST": "localhost"} | environ
    assert client.get("/metrics", **environ).status_code == 401
    wrong = client.get("/metrics", **environ, HTTP_AUTHORIZATION=f"Bearer {make_token(ann)}")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "insufficient_scope")
    runner = make_token(make_caller("runner", "service"))
    assert client.get("/metrics", **environ, HTTP_AUTHORIZATION=f"Bearer {runner}").status_code == 200


def test_on_this_machine_neither_hosts_nor_https_stand_before_it(client, db, monkeypatch):
    """As Production has it: the portal's own name alone is allowed, and http is sent to https."""
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["portal.example.org"])
    assert client.get("/metrics").status_code == 200
    problem(client.get("/limits"), 400, "invalid_host")
    problem(client.get("/metrics", HTTP_HOST="other.example.org"), 400, "invalid_host")


@pytest.fixture
def client(client):
    """A client on the portal's own machine."""
    client.defaults["HTTP_HOST"] = "127.0.0.1:8000"
    return client


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "Via", "CF-Connecting-IP", "X-Original-Host"],
)
def test_a_proxy_on_the_same_machine_makes_nobody_local(portal_server, header):
    answer = Api(portal_server.url).get("/metrics", headers={header: "127.0.0.1"})
    problem(answer, 401, "not_authenticated")


def test_it_tells_how_uploads_are(client, ann, storage, monkeypatch):
    monkeypatch.setattr("portal.views.metrics.get_storage", lambda: storage)
    batch = make_batch(ann)
    open_session(ann, storage, size=7, batch=batch)
    store_file(ann, storage, b"12345", batch=batch)
    samples = read_metrics(client.get("/metrics"))
    assert samples["portal_uploads", ("status", "INIT")] == 1
    assert samples["portal_upload_bytes", ("status", "INIT")] == 7
    assert samples["portal_uploads", ("status", "FINALIZING")] == 0
    assert samples["portal_outbox_depth", ("state", "unnumbered")] == 1
    assert samples["portal_workers", ("state", "ok")] == 0


@pytest.mark.parametrize("error", [StorageUnavailable("gone"), StorageMisconfigured("another disk")])
def test_a_storage_with_a_fault_takes_its_own_gauge_away_and_no_other(client, db, storage, monkeypatch, error):
    monkeypatch.setattr(storage, "free_bytes", failing(error))
    for find in (failing(error), lambda: storage):
        monkeypatch.setattr("portal.views.metrics.get_storage", find)
        told = read_metrics(client.get("/metrics"))
        assert ("portal_storage_free_bytes",) not in told
        assert ("portal_workers", ("state", "ok")) in told


def requests_of(api, route):
    """Return how many GETs of a route were answered with 200."""
    labels = ("method", "GET"), ("route", route), ("status", "200")
    return read_metrics(api.get("/metrics")).get(("portal_http_requests_total", *labels), 0)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, fresh_database):
    """A portal whose server has two processes."""
    with fresh_database() as url, LiveServer(tmp_path_factory.mktemp("two"), database_url=url, workers=2) as server:
        yield server


def test_any_process_tells_what_all_have_counted_and_none_forgets(two_processes):
    token = two_processes.create_token("ann")
    # A connection stays with the process that took it, so each call has one of its own.
    for _ in range(40):
        assert expect(200, Api(two_processes.url, token).get("/limits"))
    for _ in range(8):
        wait_until(lambda: requests_of(Api(two_processes.url), "/limits") == 40)
    two_processes.kill()
    two_processes.start()
    assert requests_of(Api(two_processes.url), "/limits") == 40


@pytest.mark.parametrize("path", ["/no/such/path", "/batches/%00", "/admin/x/y"])
def test_made_up_paths_and_methods_make_no_metrics(portal_server, path):
    api = Api(portal_server.url)
    api.call("MADEUP", path)
    api.get(path, allow_redirects=False)
    samples = read_metrics(api.get("/metrics"))
    labels = {pair for key in samples for pair in key[1:] if pair[0] in ("route", "method")}
    assert ("method", "MADEUP") not in labels
    assert not {value for name, value in labels if name == "route" and value in (path, "/admin/x/y", "/no/such/path")}

"""Limits and health over HTTP."""

import pytest
from django.db import DatabaseError

from portal.storage import StorageMisconfigured
from portal.views import service
from tests.api import Api, expect
from tests.views.shapes import problem

LIMITS = (
    "max_file_size_bytes chunk_size_bytes chunk_size_min_bytes chunk_size_max_bytes max_parts max_bulk_files "
    "session_ttl_seconds max_metadata_bytes"
).split()


def test_the_limits_are_exactly_those_of_the_contract(ann_api):
    limits = expect(200, ann_api.get("/limits"))
    assert set(limits) == set(LIMITS)
    assert all(isinstance(value, int) and value > 0 for value in limits.values())
    assert limits["chunk_size_min_bytes"] <= limits["chunk_size_bytes"] <= limits["chunk_size_max_bytes"]
    assert (limits["max_parts"], limits["max_bulk_files"], limits["max_metadata_bytes"]) == (10_000, 1_000, 16_384)
    assert limits["session_ttl_seconds"] == 168 * 3600


def test_health_is_told_to_anybody(portal_server):
    nobody = Api(portal_server.url)
    assert expect(200, nobody.get("/healthz")) == {"status": "ok"}
    ready = expect(200, nobody.get("/readyz"))
    checks = {"database": "ok", "migrations": "ok", "storage": "ok", "worker": "none"}
    assert ready == {"status": "ok", "checks": checks, "advice": []}


def test_health_is_told_whatever_credentials_and_host_come_with_it(portal_server):
    for headers in ({"Authorization": "Bearer nonsense"}, {"Cookie": "sessionid=nonsense"}, {"Host": "10.1.2.3"}):
        for path in ("/healthz", "/readyz"):
            expect(200, Api(portal_server.url).get(path, headers=headers))


def test_a_database_that_does_not_answer_is_not_ready_but_lives(client, db, monkeypatch):
    def fail(*_):
        raise DatabaseError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(service.connection, "cursor", fail)
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"]["database"] == "does not answer"
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_storage_that_does_not_answer_is_not_ready(client, db, monkeypatch):
    def fail():
        raise StorageMisconfigured("no such folder /secret/place")

    monkeypatch.setattr(service, "get_storage", fail)
    response = client.get("/readyz")
    assert response.status_code == 503
    checks = {"database": "ok", "migrations": "ok", "storage": "does not answer", "worker": "none"}
    assert response.json()["checks"] == checks


def test_a_migration_that_is_not_applied_is_not_ready(client, db, monkeypatch):
    monkeypatch.setattr(service.MigrationExecutor, "migration_plan", lambda *_: [("one", False), ("two", False)])
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "2 not applied"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_takes_no_other_method(portal_server, path):
    problem(Api(portal_server.url).post(path, {}), 405, "method_not_allowed")

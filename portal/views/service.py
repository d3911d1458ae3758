"""What the portal says of itself: limits and health."""

import logging

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from portal import access
from portal.services.heartbeats import SILENT, SILENT_SECONDS, worker_state
from portal.services.limits import describe_limits, session_lifetime
from portal.storage import StorageMisconfigured, get_storage
from portal.storage.base import StorageUnavailable

logger = logging.getLogger("portal.health")

Limits = inline_serializer("Limits", {name: serializers.IntegerField() for name in describe_limits()})
Health = inline_serializer("Health", {"status": serializers.CharField()})
Readiness = inline_serializer(
    "Readiness",
    {
        "status": serializers.CharField(),
        "checks": serializers.DictField(child=serializers.CharField()),
        "advice": serializers.ListField(child=serializers.CharField()),
    },
)


class LimitsView(APIView):
    """GET: the limits that hold here."""

    scopes = {"GET": tuple(access.SCOPES)}

    @extend_schema(operation_id="get_limits", responses=Limits)
    def get(self, request):
        """Show the limits; sizes in bytes."""
        return Response(describe_limits())


class Public(APIView):
    """A view that anybody may see."""

    authentication_classes = ()
    permission_classes = ()
    scopes: dict = {}


class Healthz(Public):
    """GET: the process lives."""

    @extend_schema(operation_id="healthz", responses=Health, auth=[])
    def get(self, request):
        """Answer ok, asking nobody."""
        return Response({"status": "ok"})


class Readyz(Public):
    """GET: everything that a request needs answers."""

    @extend_schema(operation_id="readyz", responses={200: Readiness, 503: Readiness}, auth=[])
    def get(self, request):
        """Ask the database, the migrations and the storage; 503 with the reasons when one does not answer.

        `worker` tells whether one was heard of lately (`ok`, `none`, `silent`) and counts for nothing: no request needs
        one, and a portal may run none by design.
        """
        storage, advice = _storage()
        checks = {"database": _database(), "migrations": _migrations(), "storage": storage}
        ready = all(answer == "ok" for answer in checks.values())
        checks["worker"] = _worker()
        if checks["worker"] == SILENT:
            advice = [*advice, f"No worker was heard of for {SILENT_SECONDS} seconds: see to run_worker."]
        members = {"status": "ok" if ready else "unavailable", "checks": checks, "advice": advice}
        return Response(members, status=200 if ready else 503, headers={} if ready else {"Retry-After": "5"})


def _database():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("database does not answer: %s", error)
        return "does not answer"
    return "ok"


def _migrations():
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "cannot be read"
    return f"{len(pending)} not applied" if pending else "ok"


def _worker():
    try:
        return worker_state()
    except DatabaseError:
        return "cannot be read"


def _storage():
    """Return "ok" or what is wrong, and what an operator should set there."""
    try:
        storage = get_storage()
    except (StorageUnavailable, StorageMisconfigured) as error:
        logger.warning("storage does not answer: %s", error)
        return "does not answer", []
    try:
        storage.check()
        return "ok", storage.advice(session_days=session_lifetime().days)
    except StorageUnavailable as error:
        logger.warning("storage does not answer: %s", error)
        # Of a bucket it says which permission is missing; of a disk it would say where that is.
        return str(error) if storage.bucket else "does not answer", []

"""System checks: settings that contradict each other, and a database that could forget what it acknowledged."""

import re
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import Error, Tags, register
from django.db import DatabaseError, connections
from django.http.request import validate_host

from portal import tracing
from portal.inspection.base import ScannerMisconfigured
from portal.inspection.kinds import KindsUnavailable, find_kind
from portal.inspection.scanner import open_scanner
from portal.runner.addresses import is_endpoint_url
from portal.runner.signature import read_keys
from portal.services.limits import CHUNK_STEP, MAX_PARTS, session_lifetime
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage, get_storages


@register(Tags.compatibility)
def check_sizes(app_configs, **options):
    """Chunk sizes are in order and multiples of 64 KiB; no size and no lifetime is 0."""
    names = ("PORTAL_CHUNK_SIZE_MIN", "PORTAL_CHUNK_SIZE", "PORTAL_CHUNK_SIZE_MAX")
    smallest, usual, largest = sizes = [getattr(settings, name) for name in names]
    problems = [
        checks.Warning(f"{name} is rounded up to a multiple of {CHUNK_STEP} bytes from {size}.", id="portal.W002")
        for name, size in zip(names, sizes, strict=True)
        if size % CHUNK_STEP
    ]
    if not smallest <= usual <= largest:
        problems.append(Error(f"{' <= '.join(names)} does not hold: {smallest}, {usual}, {largest}.", id="portal.E001"))
    problems += [
        Error(f"{name} must not be 0.", id="portal.E002")
        for name in (*names, "PORTAL_MAX_FILE_SIZE", "PORTAL_SESSION_TTL_HOURS")
        if getattr(settings, name) <= 0
    ]
    if MAX_PARTS * largest < settings.PORTAL_MAX_FILE_SIZE:
        hint = f"Files have at most {MAX_PARTS} parts: larger files than that many chunks are refused."
        problems.append(
            checks.Warning("PORTAL_CHUNK_SIZE_MAX is too small for PORTAL_MAX_FILE_SIZE.", hint=hint, id="portal.W001")
        )
    return problems


@register(Tags.urls)
def check_public_url(app_configs, **options):
    """ALLOWED_HOSTS takes the host of PORTAL_PUBLIC_URL."""
    host = urlsplit(settings.PORTAL_PUBLIC_URL).hostname
    if host and not validate_host(host, settings.ALLOWED_HOSTS):
        return [Error(f"ALLOWED_HOSTS does not take {host} of PORTAL_PUBLIC_URL.", id="portal.E004")]
    return []


@register(Tags.files)
def check_storage(app_configs, **options):
    """The storage of PORTAL_STORAGE_URL can keep its promises here."""
    try:
        get_storages()
    except (StorageMisconfigured, StorageUnavailable) as error:
        return [Error(str(error), id="portal.E005")]
    return []


@register(Tags.files)
def check_inspection(app_configs, **options):
    """PORTAL_CONTENT_TYPES are media types and can be told apart here; PORTAL_SCANNER names a scanner."""
    problems = []
    kinds = settings.PORTAL_CONTENT_TYPES
    try:
        if kinds:
            find_kind(b"")
        if settings.PORTAL_SCANNER:
            open_scanner(settings.PORTAL_SCANNER, settings.PORTAL_SCANNER_TIMEOUT_SECONDS)
    except (KindsUnavailable, ScannerMisconfigured, ValueError) as error:
        problems.append(Error(str(error), id="portal.E014"))
    wrong = [kind for kind in kinds if not re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", kind)]
    if wrong:
        problems.append(Error(f"PORTAL_CONTENT_TYPES must be like image/*, not {', '.join(wrong)}.", id="portal.E015"))
    if settings.PORTAL_SCANNER and not settings.PORTAL_SCANNER_TIMEOUT_SECONDS:
        problems.append(Error("PORTAL_SCANNER_TIMEOUT_SECONDS must not be 0.", id="portal.E002"))
    return problems


@register(Tags.compatibility)
def check_tracing(app_configs, **options):
    """Spans that are to be sent can be."""
    try:
        if settings.PORTAL_TRACING:
            tracing.load()
    except tracing.TracingUnavailable as error:
        return [Error(str(error), id="portal.E016")]
    return []


@register(Tags.files, deploy=True)
def check_store(app_configs, **options):
    """The storage answers and does all that the portal needs; what an operator should set there is a warning."""
    try:
        storage = get_storage()
        storage.check()
        advice = storage.advice(session_days=session_lifetime().days)
    except StorageMisconfigured:
        return []  # check_storage says so
    except StorageUnavailable as error:
        return [Error(str(error), id="portal.E009")]
    return [checks.Warning(text, id="portal.W003") for text in advice]


@register(Tags.database)
def check_durability(app_configs, databases=None, **options):
    """The database keeps what it has acknowledged: refuses fsync and synchronous_commit off, WAL without FULL."""
    return [problem for alias in databases or [] for problem in _check_database(connections[alias])]


def _check_database(connection):
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                return _check_sqlite(cursor)
            return _check_postgresql(cursor)
    except DatabaseError as error:
        return [Error(f"The database does not answer: {error}", id="portal.E006")]


def _check_postgresql(cursor):
    problems = []
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        cursor.execute(f"SHOW {name}")
        if cursor.fetchone()[0] == "off":
            hint = f"Set {name} = on in postgresql.conf (or for this database and user)."
            text = f"PostgreSQL runs with {name} = off: it may forget files that it has acknowledged."
            problems.append(Error(text, hint=hint, id="portal.E007"))
    return problems


def _check_sqlite(cursor):
    cursor.execute("PRAGMA synchronous")
    if cursor.fetchone()[0] < 2:
        return [Error("SQLite must run with PRAGMA synchronous=FULL.", id="portal.E008")]
    return []


@register(Tags.urls)
def check_runner(app_configs, **options):
    """PORTAL_RUNNER_ENDPOINT is a plain http(s) URL, each of its secrets signs, and events are tried at least once."""
    problems = []
    url = settings.PORTAL_RUNNER_ENDPOINT
    if url and not is_endpoint_url(url):
        text = "PORTAL_RUNNER_ENDPOINT must be like https://runner.example.org/hook, without a user or a fragment."
        problems.append(Error(text, id="portal.E010"))
    secrets = settings.PORTAL_RUNNER_SECRET.split()
    if url and not (secrets and all(map(read_keys, secrets))):
        text = "PORTAL_RUNNER_SECRET must be whsec_ and base64, or any other text; two are parted by a blank."
        problems.append(Error(text, hint="Events would go out without a signature.", id="portal.E011"))
    if settings.PORTAL_OUTBOX_MAX_ATTEMPTS < 1:
        problems.append(Error("PORTAL_OUTBOX_MAX_ATTEMPTS must not be 0.", id="portal.E002"))
    return problems

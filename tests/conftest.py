"""What every test shares: which database, whose folder, and the server as it is run."""

import contextlib
import gc
import shutil
import tempfile
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from tests.admin_pages import make_rows
from tests.api import Api
from tests.databases import become_own, empty_tables, migrated_template, new_database, undone
from tests.needs import need_tool
from tests.rounds import FULL
from tests.s3 import CREDENTIALS, S3Server
from tests.samples import make_caller
from tests.server import LiveServer
from tests.static_files import listed_once
from tests.strict import StrictStorage
from tests.turns import turn

DATA_DIR = pytest.StashKey[Path]()
TESTS = Path(__file__).resolve().parent
#: What takes longest begins first, so that no process of the run has much left to do when the others are done.
LONGEST = (
    *("crashes/test_soak.py", "schema/test_fuzzing.py", "crashes/test_every_call.py", "services/s3/test_faults.py"),
    *("crashes/test_nodes.py", "crashes/test_kills.py", "crashes/test_power_cuts.py", "crashes/test_full_disks.py"),
    *("e2e/test_run_portal.py", "boot/test_graceful.py", "transfer/test_many.py", "e2e/test_s3.py"),
    *("test_admin_search.py", "test_admin.py", "canary/test_canary.py", "test_tenancy.py"),
    *("stateful/test_walk.py", "test_migrations.py", "transfer/test_slow_clients.py"),
)
#: What asks no database, or nothing that others do not ask of both, and is about a program, a page, a browser, a store
#: or bytes on their way: the quick run of everything has it once, on SQLite's turn.
ONCE = (
    *("boot/", "canary/", "client/", "design/", "docs/", "e2e/", "examples/", "inspection/", "runner/", "schema/"),
    *(
        "serializers/",
        "storage/",
        "transfer/",
        "services/s3/test_faults.py",
        "test_admin_browser.py",
        "test_admin_crawl.py",
        "test_admin_forms.py",
        "test_tallies.py",
    ),
    "test_tracing.py",
)
#: What is about many processes on one database, for minutes: once too, on PostgreSQL's.
ON_POSTGRESQL = ("crashes/test_nodes.py", "crashes/test_soak.py")


# Thousands of tests are collected, and none of them is garbage: nobody looks for any meanwhile.
gc.disable()


def pytest_collection_finish():
    """Collect garbage from here on, but look no more at what stays to the end: all that was collected."""
    gc.freeze()
    gc.enable()


def pytest_configure(config):
    """Point the settings at a folder of this process's own, before anything is opened: never at ./var."""
    data_dir = Path(tempfile.mkdtemp(prefix="portal-tests-"))
    config.stash[DATA_DIR] = data_dir
    settings.PORTAL_DATA_DIR = data_dir
    settings.PORTAL_STORAGE_URL = f"file://{data_dir / 'storage'}"


def pytest_unconfigure(config):
    """Remove the folder again."""
    if DATA_DIR in config.stash:
        shutil.rmtree(config.stash[DATA_DIR], ignore_errors=True)


def pytest_ignore_collect(collection_path, config):
    """Import nothing of what the quick run of everything has on the other database."""
    if FULL or config.args_source.name == "ARGS":
        return None
    elsewhere = ONCE if connection.vendor == "postgresql" else ON_POSTGRESQL
    return collection_path.relative_to(TESTS).as_posix().startswith(elsewhere) or None


def pytest_collection_modifyitems(config, items):
    """Put the longest files first; leave out what this database has not."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    left_out = {item for item in items if connection.vendor != "postgresql" and item.get_closest_marker("postgresql")}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_report_header():
    """Name the database in the first lines of the report."""
    return f"database: {settings.DATABASES['default']['ENGINE'].rpartition('.')[2]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Give each test a turn beside others; those of a module that is `alone` have one together."""
    with contextlib.nullcontext() if "alone" in item.fixturenames else turn(alone=False):
        return (yield)


@pytest.fixture(scope="module")
def alone():
    """The machine for the tests of this module, one after the other: no other test of the run goes on meanwhile."""
    with turn(alone=True):
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files():
    with listed_once():
        yield


@pytest.fixture
def need():
    """`need("strace")` gives a program's path; without it the test is skipped, or fails when CI is set."""
    return need_tool


@pytest.fixture(scope="session")
def django_db_setup(request, django_test_environment, django_db_blocker, tmp_path_factory):
    """Give this process a database of its own, a copy of one that was migrated once for the run.

    DATABASE_URL chooses which kind; SQLite is a file: threads cannot share one in memory.
    """
    kind, base = connection.vendor, tmp_path_factory.getbasetemp()
    # Below the folder of a run each of its processes has one, if there are many.
    shared = base.parent if hasattr(request.config, "workerinput") else base
    with (
        django_db_blocker.unblock(),
        migrated_template(kind, shared),
        new_database(kind, request.config.stash[DATA_DIR]) as url,
    ):
        become_own(url)
        with django_db_blocker.block(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: empty_tables(connection))
            yield
        connection.close()


@pytest.fixture(scope="module")
def admin_rows(django_db_setup, django_db_blocker):
    """At least one row of each model, ann's, with hostile names; there for a whole module, and undone at its end."""
    with django_db_blocker.unblock(), undone():
        yield make_rows(make_caller("ann"))


@pytest.fixture(scope="session")
def fresh_database(django_db_setup, tmp_path_factory):
    """A function for a context manager: the URL of a new, migrated database of the kind that this run tests."""
    return lambda **how: new_database(connection.vendor, tmp_path_factory.mktemp("database"), **how)


@pytest.fixture(scope="session")
def portal_server(tmp_path_factory, fresh_database):
    """The portal as it is run, one for each process of the test run, with its own folder and database."""
    with fresh_database() as url, LiveServer(tmp_path_factory.mktemp("portal"), database_url=url) as server:
        yield server


@pytest.fixture(scope="session")
def _s3_credentials():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def rclone(tmp_path_factory, _s3_credentials):
    """A running S3 server that keeps its objects in a folder, one for each process of the test run."""
    with S3Server("rclone", tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def ministack(tmp_path_factory, _s3_credentials):
    """A running S3 server with conditional writes and lifecycle rules, one for each process of the test run."""
    with S3Server("ministack", tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture
def storage():
    """Bytes in memory that may not be touched inside a transaction."""
    return StrictStorage()


@pytest.fixture
def ann(db):
    """The owner."""
    return make_caller("ann")


@pytest.fixture
def bob(db):
    """The stranger."""
    return make_caller("bob")


@pytest.fixture(scope="session")
def ann_api(portal_server):
    """The owner, at the running server."""
    return Api(portal_server.url, portal_server.create_token("ann"))


@pytest.fixture(scope="session")
def bob_api(portal_server):
    """The stranger, at the running server."""
    return Api(portal_server.url, portal_server.create_token("bob"))

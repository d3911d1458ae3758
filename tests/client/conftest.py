"""A client of ann's at the running server, a folder of hers, and a server that says what it is told to."""

import contextlib

import pytest

from portal_client import PortalClient
from portal_client.cli.app import Place
from tests.client import commands
from tests.client.scripted import ScriptedServer


@pytest.fixture
def client(portal_server, ann_api, tmp_path):
    """The owner, by the package; digests are remembered for this test alone."""
    return PortalClient(portal_server.url, ann_api.token, cache=tmp_path / "digests.sqlite3")


@pytest.fixture
def scripted():
    """A server that gives answers one after the other, and remembers what it was asked."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def patient(scripted, tmp_path):
    """A client of that server."""
    return PortalClient(scripted.url, "ptl_test", cache=False, patience=5)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of this test's own, logged in to nothing."""
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    for variable in ("PORTAL_URL", "PORTAL_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    Place.url = None


@pytest.fixture
def portal(home, monkeypatch, ann_api):
    """Give a function that runs the command as ann; it returns the result, and fails on a traceback."""
    monkeypatch.setenv("PORTAL_URL", ann_api.url)
    monkeypatch.setenv("PORTAL_TOKEN", ann_api.token)
    return commands.run


@pytest.fixture
def scripted_portal(home, monkeypatch, scripted):
    """Give such a function for the server that says what it is told to."""
    monkeypatch.setenv("PORTAL_URL", scripted.url)
    monkeypatch.setenv("PORTAL_TOKEN", "ptl_x")
    return commands.run


@pytest.fixture
def start(tmp_path):
    """Give a function that starts `portal` at an address, as a process of its own."""
    started = []

    def start(*arguments, **options):
        started.append(commands.start(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()

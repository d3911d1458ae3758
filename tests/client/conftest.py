"""A client of ann's at the running server, a folder of hers, and a server that says what it is told to."""

import pytest

from portal_client import PortalClient
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

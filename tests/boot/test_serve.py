"""The server's own limits: more connections than a small machine's defaults, and its arguments."""

import subprocess
import sys

import pytest

from tests.api import Api, expect
from tests.raw import RawClient
from tests.server import ROOT

#: Over granian's own limit (1,024), under ours; each costs this process a descriptor as well.
IDLE = 1100
#: Starts with a soft limit of 64 descriptors, and tells the one that it has afterwards.
LIMITED = """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
from boot import serve
serve.raise_descriptor_limit()
soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
assert soft == min(serve.DESCRIPTORS, hard if hard != resource.RLIM_INFINITY else serve.DESCRIPTORS), soft
"""


@pytest.fixture
def _descriptors():
    """As many descriptors as the test needs, or a line that says so."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * IDLE:
        pytest.skip(f"needs {2 * IDLE} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * IDLE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_descriptors")
def test_a_thousand_idle_connections_hold_nobody_up(portal_server, ann_api):
    idle = [RawClient(portal_server.url) for _ in range(IDLE)]
    try:
        # Were there no room, it would be served when the idle ones are let go, 30 seconds later.
        expect(200, Api(portal_server.url, ann_api.token).get("/limits", timeout=15))
    finally:
        for client in idle:
            client.reset()


def test_the_limit_of_descriptors_is_raised():
    subprocess.run([sys.executable, "-c", LIMITED], cwd=ROOT, check=True)


def test_it_tells_its_options():
    done = subprocess.run([sys.executable, "-m", "boot.serve", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert all(option in done.stdout for option in ("--host", "--port", "--workers"))

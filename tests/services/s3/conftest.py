"""What the tests of services on a real S3 server share: a bucket of one's own, and nothing that waits for seconds."""

import pytest

from portal.services import finalize, part_claims
from portal.storage.s3 import S3Storage


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 0)
    # The test's own transaction would keep the thread that renews claims from its database.
    monkeypatch.setattr(part_claims.Keeper, "renew", lambda _: None)


@pytest.fixture
def server(ministack):
    """The S3 server; a module may choose another."""
    return ministack


@pytest.fixture
def bucket(server):
    """A new bucket."""
    return server.new_bucket()


@pytest.fixture
def storage(server, bucket):
    """The storage of that bucket."""
    return S3Storage(server.storage_url(bucket))

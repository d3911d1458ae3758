"""What /metrics counts, each by something that is done to a server and a worker as they are run."""

import pytest

from tests.api import Api, expect
from tests.patience import wait_until
from tests.samples import pattern
from tests.server import LiveServer
from tests.views.shapes import read_metrics

#: More than is ever finalized in the call.
LARGE = 8 * 2**20 + 1
PART, CONTENT = ("/uploads/sessions/{id}/parts/{n}", "/files/{id}/content")


@pytest.fixture(scope="module")
def portal(tmp_path_factory, fresh_database):
    """A portal whose worker does all that takes longer."""
    env = {"PORTAL_FINALIZE_INLINE_BYTES": "0"}
    folder = tmp_path_factory.mktemp("counts")
    with fresh_database() as url, LiveServer(folder, database_url=url, run_worker=True, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def api(portal):
    """The owner."""
    return Api(portal.url, portal.create_token("ann", "--scope", "upload", "--scope", "read", "--scope", "delete"))


@pytest.fixture
def moved(api):
    """A function: by how much a sample, given by its name and labels, has moved since the test began."""
    before = read_metrics(api.get("/metrics"))

    def by(name, **labels):
        key = (name, *sorted(labels.items()))
        return read_metrics(api.get("/metrics")).get(key, 0) - before.get(key, 0)

    return by


def test_a_file_in_parts_that_the_worker_puts_together(api, moved):
    session = api.open_session(LARGE, chunk_size_bytes=2**23)
    api.put_parts(session, pattern(LARGE))
    wait_until(lambda: api.finalize(session).status_code == 200)
    assert moved("portal_finalize_seconds_count", status="COMPLETE") == 1
    assert moved("portal_finalize_seconds_sum", status="COMPLETE") > 0
    assert (moved("portal_files_total", status="STORED"), moved("portal_files_bytes_total")) == (1, LARGE)
    assert moved("portal_http_received_bytes_total", route=PART) == LARGE
    assert moved("portal_http_requests_total", method="PUT", route=PART, status="200") == 2
    assert moved("portal_http_seconds_count", method="PUT", route=PART) == 2
    assert moved("portal_stored_files") == 1
    assert moved("portal_stored_bytes") == LARGE


def test_a_file_in_one_request_and_its_way_back(api, moved):
    batch = api.make_batch()["id"]
    file = expect(201, api.put(f"/batches/{batch}/files/a", b"12345"))
    assert api.get(f"/files/{file['id']}/content").content == b"12345"
    assert (moved("portal_files_total", status="STORED"), moved("portal_files_bytes_total")) == (1, 5)
    assert moved("portal_http_received_bytes_total", route="/batches/{id}/files/{path}") == 5
    assert moved("portal_http_sent_bytes_total", route=CONTENT) == 5


def test_files_that_are_given_up(api, moved):
    expect(204, api.delete(f"/uploads/sessions/{api.open_session(1)['session_id']}"))
    assert moved("portal_files_total", status="FAILED") == 1
    batch = api.make_batch()["id"]
    expect(200, api.post(f"/batches/{batch}/files", {"files": [{"path": "a", "total_size_bytes": 1}]}))
    api.delete(f"/batches/{batch}")
    assert moved("portal_files_total", status="FAILED") == 2

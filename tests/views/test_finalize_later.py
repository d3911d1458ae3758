"""A file that is too large to finalize at once: 202 and FINALIZING until a worker has done it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api import Api, expect
from tests.patience import wait_until
from tests.samples import pattern
from tests.schema.description import Description
from tests.server import LiveServer
from tests.views.shapes import SESSION, problem

SIZE = 9 * 2**20  # files up to 8 MiB are always finalized at once


@pytest.fixture
def lazy_server(tmp_path, fresh_database):
    """A server that leaves every larger finalize to a worker, and has none."""
    with (
        fresh_database() as url,
        LiveServer(tmp_path, database_url=url, env={"PORTAL_FINALIZE_INLINE_BYTES": "0"}) as server,
    ):
        yield server


def test_a_large_file_is_202_until_the_worker_has_stored_it(lazy_server):
    api = Api(lazy_server.url, lazy_server.create_token("ann"))
    api.session.hooks["response"].append(Description(lazy_server.url).hook)
    data = pattern(SIZE)
    session = api.open_session(SIZE, chunk_size_bytes=SIZE)
    api.put_parts(session, data)
    path = f"/uploads/sessions/{session['session_id']}"

    # Asked twice, at once: both learn that it goes on.
    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(api.finalize, [session] * 2))
    for response in responses:
        shown = expect(202, response)
        assert int(response.headers["Retry-After"]) > 0
        assert set(shown) == SESSION
        assert (shown["status"], shown["missing_parts"]) == ("FINALIZING", [])

    # The parts are frozen, and nothing can be taken back.
    problem(api.put_part(session, 1, data), 409, "session_closed")
    problem(api.delete(path), 409, "session_closed")
    problem(api.delete(f"/files/{session['file_id']}"), 409, "file_busy")
    problem(api.get(f"/files/{session['file_id']}/content"), 409, "file_not_stored")

    lazy_server.stop()
    lazy_server.run_worker = True
    lazy_server.start()
    wait_until(lambda: expect(200, api.get(path))["status"] == "COMPLETE")
    file = expect(200, api.finalize(session))
    assert (file["status"], file["size_bytes"]) == ("STORED", SIZE)
    assert api.get(f"/files/{file['id']}/content").content == data

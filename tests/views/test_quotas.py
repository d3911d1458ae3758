"""Quotas and rates over HTTP, at both doors: what is refused, how it is told; sixteen at once overshoot none."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api import Api, expect
from tests.raw import RawClient
from tests.schema.description import Description
from tests.server import LiveServer
from tests.views.shapes import problem

QUOTA = {"quota", "limit", "used", "wanted"}
RATE = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory, fresh_database):
    """A portal with small quotas, of two processes."""
    env = {
        "PORTAL_QUOTA_BYTES": "1000",
        "PORTAL_QUOTA_OPEN_SESSIONS": "5",
        "PORTAL_QUOTA_BATCH_FILES": "3",
        "PORTAL_RATE_LIMIT": str(RATE),
    }
    folder = tmp_path_factory.mktemp("quotas")
    with fresh_database() as url, LiveServer(folder, database_url=url, env=env, workers=2) as server:
        yield server


@pytest.fixture
def carol(server, request):
    """Somebody new."""
    api = Api(server.url, server.create_token(f"carol-{request.node.name[:60]}"))
    api.session.hooks["response"].append(Description(server.url).hook)
    return api


def test_sixteen_clients_at_the_limit_of_open_sessions(server, carol):
    with ThreadPoolExecutor(16) as threads:
        body = {"original_filename": "a", "total_size_bytes": 10}
        calls = [threads.submit(Api(server.url, carol.token).post, "/uploads/sessions", body) for _ in range(16)]
        answers = [call.result() for call in calls]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 11
    for answer in refused:
        members = problem(answer, 429, "quota_exceeded", *QUOTA)
        assert (members["quota"], members["limit"], members["used"]) == ("open_sessions", 5, 5)
        assert int(answer.headers["Retry-After"]) > 0
    assert len(carol.get("/uploads/sessions?status=INIT").json()["results"]) == 5


def test_bytes_stored_and_declared_count_together_and_deleting_makes_room(carol):
    kept = carol.store(b"x" * 600)
    session = carol.open_session(300)
    answer = carol.post("/uploads/sessions", {"original_filename": "a", "total_size_bytes": 101})
    assert problem(answer, 429, "quota_exceeded", *QUOTA)["quota"] == "bytes"
    attachment = {"Content-Disposition": "attachment; filename=x"}
    problem(carol.post("/files", data=b"y" * 101, headers=attachment), 429, "quota_exceeded", *QUOTA)
    expect(201, carol.post("/files", data=b"y" * 100, headers=attachment))
    carol.put_parts(session, b"z" * 300)
    expect(200, carol.finalize(session))
    expect(204, carol.delete(f"/files/{kept['id']}"))
    carol.open_session(600)


def test_a_body_that_does_not_fit_is_not_asked_for(server, carol):
    batch = carol.make_batch()["id"]
    with RawClient(server.url, token=carol.token) as client:
        answer = client.ask("PUT", f"/batches/{batch}/files/a", "Content-Length: 1001", "Expect: 100-continue")
    assert answer.status == 429
    # More than there will ever be room for: waiting does not help.
    assert answer.header("retry-after") is None


def test_a_body_of_unknown_length_is_cut_off_where_the_room_ends(carol):
    batch = carol.make_batch()["id"]
    pieces = (b"x" * 400 for _ in range(3))
    problem(carol.put(f"/batches/{batch}/files/a", pieces), 429, "quota_exceeded", "quota")
    assert carol.get(f"/batches/{batch}").json()["total_files"] == 0


def test_a_batch_takes_so_many_files_and_a_form_tells_which(carol):
    batch = carol.make_batch()["id"]
    files = [("files", (f"{number}.txt", b"x")) for number in range(5)]
    results = expect(200, carol.call("POST", f"/batches/{batch}/files", files=files))["results"]
    assert [result["status"] for result in results] == ["STORED"] * 3 + ["REJECTED"] * 2
    assert {result["error"]["code"] for result in results[3:]} == {"quota_exceeded"}
    body = {"original_filename": "a", "total_size_bytes": 1, "batch_id": batch}
    answer = carol.post("/uploads/sessions", body)
    assert problem(answer, 429, "quota_exceeded", *QUOTA)["quota"] == "batch_files"


def test_a_token_that_asks_too_often_waits_at_both_doors(carol):
    # Two processes with a bucket each; a connection stays with one of them.
    for _ in range(RATE * 10 * 3):
        answer = carol.get("/limits")
        if answer.status_code != 200:
            break
    problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 2
    for _ in range(RATE * 10 * 3):
        answer = carol.get("/files/01890000-0000-7000-8000-000000000000/content")
        if answer.status_code != 404:
            break
    problem(answer, 429, "rate_limited")
    assert carol.get("/healthz").status_code == 200

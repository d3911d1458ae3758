"""The portal with its bytes in a real S3 server: parts by way of the portal and past it, downloads by signed URLs."""

import hashlib
import io
import tarfile

import pytest
import requests

from tests.api import Api, expect
from tests.s3 import CREDENTIALS
from tests.samples import pattern
from tests.server import LiveServer

MIB = 2**20
CHUNK = 5 * MIB
DATA = pattern(2 * CHUNK + 7)


@pytest.fixture(scope="module", params=["rclone", "ministack"])
def s3(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def bucket(s3):
    return s3.new_bucket()


@pytest.fixture(scope="module")
def portal(s3, bucket, fresh_database, tmp_path_factory):
    """A portal on that bucket."""
    env = CREDENTIALS | {"PORTAL_STORAGE_URL": s3.storage_url(bucket)}
    with fresh_database() as url, LiveServer(tmp_path_factory.mktemp("portal"), database_url=url, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def api(portal):
    return Api(portal.url, portal.create_token("ann"))


def part(number, data=DATA):
    return data[(number - 1) * CHUNK : number * CHUNK]


def code(response):
    return response.status_code, response.json()["code"]


def presign(api, session, *ranges):
    """Return the signed parts."""
    path = f"/uploads/sessions/{session['session_id']}/presign"
    return expect(200, api.post(path, {"parts": list(ranges)}))["parts"]


def send(signed, data):
    """Send a part to where the portal said; return the response of the store."""
    headers = {name: value for name, value in signed["headers"].items() if name != "Content-Length"}
    return requests.put(signed["url"], data=data, headers=headers, timeout=60)


def complete(api, session, number, **body):
    return api.post(f"/uploads/sessions/{session['session_id']}/parts/{number}/complete", body)


def download(api, file, **options):
    """Follow the redirect without the portal's token, as clients must."""
    answer = api.get(f"/files/{file['id']}/content", allow_redirects=False, **options)
    assert answer.status_code == 307
    assert "no-store" in answer.headers["Cache-Control"]
    return requests.get(answer.headers["Location"], timeout=60)


def test_limits_are_those_of_the_store(api):
    limits = expect(200, api.get("/limits"))
    assert limits["chunk_size_min_bytes"] == CHUNK


def test_readyz_is_ready_and_says_what_an_operator_should_set(portal, s3):
    members = requests.get(f"{portal.url}/readyz", timeout=60).json()
    assert members["checks"]["storage"] == "ok"
    assert len(members["advice"]) == 1
    assert "AbortIncompleteMultipartUpload" in members["advice"][0]


@pytest.mark.parametrize("size", [0, 1, CHUNK, len(DATA)])
def test_a_file_goes_in_and_comes_out(api, s3, bucket, size):
    data = DATA[:size]
    session = api.open_session(size, chunk_size_bytes=CHUNK, original_filename='ä "b".html')
    api.put_parts(session, data)
    file = expect(200, api.finalize(session))
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    answer = download(api, file)
    assert answer.content == data
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert api.get(f"/files/{file['id']}/content", headers={"If-None-Match": f'"{file["sha256"]}"'}).status_code == 304


def test_whole_files_go_in_and_come_out(api):
    batch = api.make_batch()["id"]
    for name, data in (("small", b"small"), ("large", pattern(17 * MIB))):
        file = expect(201, api.put(f"/batches/{batch}/files/{name}", data))
        assert download(api, file).content == data
    assert code(api.put(f"/batches/{batch}/files/small", b"other")) == (409, "path_taken")


def test_many_files_in_one_request_go_in_and_come_out(api):
    bodies = {f"folder/{number}": pattern(100 + number, seed=number) for number in range(40)}
    bodies["folder/large"] = pattern(9 * MIB)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in bodies.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    batch = api.make_batch()["id"]
    headers = {"Content-Type": "application/x-tar"}
    answer = api.call("POST", f"/batches/{batch}/files", data=stream.getvalue(), headers=headers)
    results = expect(200, answer)["results"]
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in bodies.items()}
    assert {result["path"]: result["sha256"] for result in results} == digests
    large = next(result for result in results if result["path"] == "folder/large")
    assert download(api, {"id": large["file_id"]}).content == bodies["folder/large"]
    assert expect(200, api.get(f"/batches/{batch}"))["stored_count"] == 41


def test_bad_bodies_leave_nothing(api, s3, bucket):
    before = s3.objects(bucket).keys()
    session = api.open_session(5, chunk_size_bytes=CHUNK)
    wrong = {"Content-Digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}
    assert code(api.put_part(session, 1, b"12345", headers=wrong)) == (400, "digest_mismatch")
    assert code(api.put_part(session, 1, b"1234")) == (400, "wrong_part_size")
    assert s3.objects(bucket).keys() == before
    expect(200, api.put_part(session, 1, b"12345"))
    assert code(api.put_part(session, 1, b"54321")) == (409, "part_conflict")


# Past the portal


def test_parts_go_both_ways_in_one_session(api, s3, bucket):
    session = api.open_session(len(DATA), chunk_size_bytes=CHUNK)
    first, _, third = presign(api, session, [1, 3])
    assert [first["part_number"], first["size_bytes"], third["size_bytes"]] == [1, CHUNK, 7]
    etag = send(first, part(1)).headers["ETag"]
    recorded = expect(200, complete(api, session, 1, etag=etag))
    assert recorded["digest"] == {"algorithm": "md5", "value": hashlib.md5(part(1)).hexdigest()}
    assert recorded == expect(200, complete(api, session, 1))
    # The same bytes by way of the portal are the same part, others are not.
    assert expect(200, api.put_part(session, 1, part(1))) == recorded
    assert code(api.put_part(session, 1, part(2))) == (409, "part_conflict")
    expect(200, api.put_part(session, 2, part(2)))
    assert [signed["part_number"] for signed in presign(api, session, [1, 2], [3, 3])] == [3]
    # The last one is found by finalize itself.
    assert send(third, part(3)).status_code == 200
    file = expect(200, api.finalize(session))
    assert file["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert download(api, file).content == DATA
    assert s3.uploads(bucket) == []


def test_parts_are_taken_up_in_any_order(api):
    session = api.open_session(len(DATA), chunk_size_bytes=CHUNK)
    signed = presign(api, session, [1, 3])
    for number in (3, 2, 1):
        send(signed[number - 1], part(number))
        digest = expect(200, complete(api, session, number))["digest"]
        assert digest == {"algorithm": "md5", "value": hashlib.md5(part(number)).hexdigest()}
    assert expect(200, api.finalize(session))["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_a_file_of_one_part_can_go_past_the_portal_and_its_url_dies_with_finalize(api, s3, bucket):
    session = api.open_session(5, chunk_size_bytes=CHUNK)
    (signed,) = presign(api, session, [1, 1])
    assert send(signed, b"right").status_code == 200
    file = expect(200, api.finalize(session))
    assert send(signed, b"wrong").status_code == 404
    assert download(api, file).content == b"right"
    assert s3.uploads(bucket) == []


def test_what_did_not_arrive_or_has_another_size_is_refused(api):
    session = api.open_session(len(DATA), chunk_size_bytes=CHUNK)
    assert code(complete(api, session, 1)) == (400, "missing_parts")
    assert code(complete(api, session, 4)) == (400, "part_out_of_range")
    (signed,) = presign(api, session, [3, 3])
    send(signed, b"1234567")
    assert code(complete(api, session, 3, etag='"0"')) == (409, "part_conflict")
    assert api.finalize(session).json()["missing_parts"] == [[1, 2]]
    expect(204, api.delete(f"/uploads/sessions/{session['session_id']}"))
    assert code(complete(api, session, 3)) == (409, "session_closed")


def test_a_part_of_another_length_is_refused_by_the_store_or_by_us(api):
    session = api.open_session(len(DATA), chunk_size_bytes=CHUNK)
    (signed,) = presign(api, session, [3, 3])
    if send(signed, b"12345678").status_code == 200:
        assert code(complete(api, session, 3)) == (400, "wrong_part_size")
    assert api.finalize(session).json()["missing_parts"] == [[1, 3]]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], "invalid"),
        ([[1]], "invalid"),
        ([[1, 2, 3]], "invalid"),
        ("1-2", "invalid"),
        ([[1, "2"]], "invalid"),
        ([[1, 101]], "invalid"),
        ([[1, 60], [61, 120]], "invalid"),
        ([[0, 1]], "part_out_of_range"),
        ([[2, 1]], "part_out_of_range"),
        ([[1, 2**62]], "part_out_of_range"),
        ([[201, 201]], "part_out_of_range"),
    ],
)
def test_ranges_that_are_none_are_refused(api, parts, expected):
    session = api.open_session(200 * CHUNK, chunk_size_bytes=CHUNK)
    assert code(api.post(f"/uploads/sessions/{session['session_id']}/presign", {"parts": parts})) == (400, expected)


def test_a_folder_signs_nothing(ann_api):
    session = ann_api.open_session(5)
    path = f"/uploads/sessions/{session['session_id']}"
    assert code(ann_api.post(f"{path}/presign", {"parts": [[1, 1]]})) == (409, "presign_unsupported")
    assert code(ann_api.post(f"{path}/parts/1/complete", {})) == (409, "presign_unsupported")

"""One request, many files: a result for each in order, each stored or refused by itself, and what was told stays."""

import contextlib
import hashlib
import json
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.services.arrivals import SMALL_BYTES
from portal.transfer.intake import GROUP_BYTES, GROUP_FILES
from tests.api import Api, expect
from tests.patience import wait_until
from tests.raw import RawClient
from tests.samples import pattern
from tests.server import LiveServer
from tests.transfer import test_forms as forms
from tests.transfer.server_process import peak_memory, server_pid
from tests.transfer.tars import BROKEN, END, REFUSED, SKIPPED, A, Z, archive, header, member
from tests.transfer.uploads import problem

TAR = {"Content-Type": "application/x-tar"}
FORM = {"Content-Type": "multipart/form-data; boundary=B"}
LINES = {"Accept": "application/x-ndjson"}
LARGE = pattern(2 * SMALL_BYTES + 9)


@pytest.fixture
def batch(ann_api):
    """The path of a new batch of ann's."""
    return f"/batches/{ann_api.make_batch()['id']}"


def send(api, batch, body, headers=TAR):
    """Send a stream; return its results."""
    return expect(200, api.call("POST", f"{batch}/files", data=body, headers=headers))["results"]


def told(results):
    """Return `(path, code of the refusal or None)` of each."""
    return [(result["path"], result["error"]["code"] if result["status"] == "REJECTED" else None) for result in results]


def stored(api, batch):
    """Return the digest by the path of what the batch has; its counters are those of these files."""
    rows = expect(200, api.get(f"{batch}/files?limit=1000"))["results"]
    row = expect(200, api.get(batch))
    assert (row["total_files"], row["stored_count"], row["failed_count"]) == (len(rows), len(rows), 0)
    assert row["stored_bytes"] == row["total_bytes"] == sum(file["size_bytes"] for file in rows)
    assert {file["status"] for file in rows} <= {"STORED"}
    return {file["path"]: file["sha256"] for file in rows}


def digests(*members):
    """Return what `stored` gives for these `(path, bytes)`."""
    return {path: hashlib.sha256(data).hexdigest() for path, data in members}


MEMBERS = [("a", b"1"), ("b/c", LARGE), ("empty", b""), ("d e", b"2" * 1000), ("é", LARGE[:SMALL_BYTES])]


@pytest.mark.parametrize("body", [list, iter], ids=["sized", "chunked"])
def test_each_member_of_a_tar_is_stored(ann_api, batch, body):
    data = archive(MEMBERS)
    results = send(ann_api, batch, data if body is list else iter([data[:700], data[700:]]))
    assert told(results) == [(path, None) for path, _ in MEMBERS]
    assert stored(ann_api, batch) == digests(*MEMBERS)
    for result, (path, data) in zip(results, MEMBERS, strict=True):
        assert result.keys() == {"path", "status", "file_id", "sha256", "size_bytes"}
        assert (result["sha256"], result["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
        file = expect(200, ann_api.get(f"/files/{result['file_id']}"))
        assert (file["path"], file["original_filename"], file["session_id"]) == (path, path.rpartition("/")[2], None)
        assert ann_api.get(f"/files/{result['file_id']}/content").content == data


def test_again_it_is_the_same_files(ann_api, batch):
    assert send(ann_api, batch, archive(MEMBERS)) == send(ann_api, batch, archive(MEMBERS))
    changed = [("a", b"X"), ("b/c", LARGE[::-1]), ("d e", b"2" * 1000), ("new", b"")]
    results = send(ann_api, batch, archive(changed))
    assert told(results) == [("a", "path_taken"), ("b/c", "path_taken"), ("d e", None), ("new", None)]
    assert stored(ann_api, batch) == digests(*MEMBERS, ("new", b""))


@pytest.mark.parametrize(("stream", "path", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_an_odd_member_has_its_result_and_never_counts_when_it_is_refused(ann_api, batch, stream, path, code):
    results = send(ann_api, batch, A + stream + Z + END)
    assert told(results) == [("first", None), (path, code), ("last", None)]
    counted = {"first", "last"} | ({path} if code is None else set())
    assert stored(ann_api, batch).keys() == counted
    if code:
        assert {results[1][name] for name in ("file_id", "sha256", "size_bytes")} == {None}
        assert results[1]["error"]["detail"]


def test_folders_and_labels_have_no_result(ann_api, batch):
    results = send(ann_api, batch, A + b"".join(stream for _, stream in SKIPPED) + Z + END)
    assert told(results) == [("first", None), ("last", None)]


@pytest.mark.parametrize("stream", [case[1] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_stream_ends_with_one_refusal_and_keeps_what_came(ann_api, batch, stream):
    results = send(ann_api, batch, A + stream + Z + END)
    assert told(results) == [("first", None), (None, "broken_stream")]
    assert stored(ann_api, batch).keys() == {"first"}


@pytest.mark.parametrize(
    ("body", "headers", "path"),
    [
        (b"", TAR, None),
        (A, TAR, None),
        (A + Z[:512], TAR, "last"),
        (A + header(b"huge", 2**33 - 1) + b"x" * 5000, TAR, "huge"),
        (b"", FORM, None),
        (forms.A, FORM, "first"),
        (forms.A + forms.Z[:-3], FORM, "last"),
    ],
)
def test_a_stream_that_ends_early_is_broken_though_its_request_is_whole(ann_api, batch, body, headers, path):
    # As when `tar` dies and `curl` sends what it got to its end.
    results = send(ann_api, batch, body, headers)
    assert told(results)[-1] == (path, "broken_stream")
    assert len(stored(ann_api, batch)) == len(results) - 1


@pytest.mark.parametrize("lines", [(), ("Accept: application/x-ndjson",)])
@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 99999"])
def test_a_request_that_breaks_off_keeps_what_came_whole(ann_api, batch, connect, framing, lines):
    client, data = connect(), A + Z + header(b"half", 3000) + b"x" * 100
    head = client.head("POST", f"{batch}/files", framing, "Content-Type: application/x-tar", *lines)
    client.send(head + (b"%x\r\n%s\r\n" % (len(data), data) if "chunked" in framing else data))
    client.finish_sending()
    client.rest()
    wait_until(lambda: len(stored(ann_api, batch)) == 2)
    assert stored(ann_api, batch) == digests(("first", b"1"), ("last", b"2"))


def test_lines_come_while_the_stream_waits_and_are_durable_by_then(ann_api, batch, connect):
    client = connect()
    chunk = lambda data: b"%x\r\n%s\r\n" % (len(data), data)  # noqa: E731
    lines = ["Transfer-Encoding: chunked", "Content-Type: application/x-tar", "Accept: application/x-ndjson"]
    client.send(client.head("POST", f"{batch}/files", *lines) + chunk(A))
    assert b"application/x-ndjson" in client._until(b"\r\n\r\n").lower()
    first = client._exactly(int(client._until(b"\r\n"), 16))
    assert json.loads(first)["path"] == "first"
    assert stored(ann_api, batch).keys() == {"first"}
    client.send(chunk(header(b"bad", kind=b"2") + Z + END) + b"0\r\n\r\n")
    rest = client._chunks().removeprefix(b"\r\n") if client._exactly(2) == b"\r\n" else b""
    assert told(map(json.loads, rest.splitlines())) == [("bad", "not_a_file"), ("last", None)]


def test_more_members_than_a_group_holds_come_in_order(ann_api, batch):
    members = [(f"{n % 3}/{n}", bytes([n % 256]) * (n % 50)) for n in range(2 * GROUP_FILES + 5)]
    members += [(f"big/{n}", pattern(GROUP_BYTES // 10, seed=n)) for n in range(15)]
    assert told(send(ann_api, batch, archive(members))) == [(path, None) for path, _ in members]
    assert stored(ann_api, batch) == digests(*members)


def test_a_member_that_is_too_large_is_refused_and_the_rest_goes_on(tmp_path, fresh_database):
    env = {"PORTAL_MAX_FILE_SIZE": "1000", "PORTAL_MIN_FREE_BYTES": "0"}
    with fresh_database() as url, LiveServer(tmp_path, database_url=url, env=env) as server:
        api = Api(server.url, server.create_token("ann"))
        batch = f"/batches/{api.make_batch()['id']}"
        assert told(send(api, batch, A + member(b"big", b"x" * 1001) + Z + END)) == [
            ("first", None),
            ("big", "file_too_large"),
            ("last", None),
        ]
        form = forms.A.replace(b"first", b"f") + forms.file(b"big", b"x" * 1001) + forms.Z.replace(b"last", b"l")
        assert told(send(api, batch, form + forms.END, FORM))[1] == ("big", "file_too_large")
        assert problem(api.put(f"{batch}/files/put", iter([b"x" * 1001]))) == (413, "file_too_large")
        assert stored(api, batch).keys() == {"first", "last", "f", "l"}


def test_each_file_of_a_form_is_stored(ann_api, batch):
    files = [("files", (path, data, "text/plain")) for path, data in MEMBERS if path != "é"]
    response = ann_api.call("POST", f"{batch}/files", files=files, data={"note": "ignored"})
    results = expect(200, response)["results"]
    assert told(results) == [(path, None) for path, _ in MEMBERS if path != "é"]
    assert stored(ann_api, batch) == digests(*(pair for pair in MEMBERS if pair[0] != "é"))
    assert expect(200, ann_api.get(f"/files/{results[0]['file_id']}"))["content_type"] == "text/plain"


@pytest.mark.parametrize(
    ("stream", "name"), [case[1:] for case in forms.REFUSED], ids=[case[0] for case in forms.REFUSED]
)
def test_a_part_of_a_form_that_cannot_be_taken_is_one_refusal_among_the_others(ann_api, batch, stream, name):
    results = send(ann_api, batch, forms.A + stream + forms.Z + forms.END, FORM)
    assert told(results) == [("first", None), (name, "invalid"), ("last", None)]
    assert stored(ann_api, batch).keys() == {"first", "last"}


def test_a_large_part_of_another_length_than_it_says_leaves_nothing(ann_api, batch):
    lengthy = forms.file(b"big", LARGE, b"Content-Length: %d" % (len(LARGE) + 1))
    exact = forms.file(b"exact", LARGE, b"Content-Length: %d" % len(LARGE))
    results = send(ann_api, batch, lengthy + exact + forms.END, FORM)
    assert told(results) == [("big", "invalid"), ("exact", None)]
    assert stored(ann_api, batch) == digests(("exact", LARGE))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/x-ndjson", "x-ndjson"),
        ("Application/X-NDJSON; q=0.1", "x-ndjson"),
        ("application/x-ndjson, */*;q=0.5", "x-ndjson"),
        ("application/json;q=0.5, application/x-ndjson", "x-ndjson"),
        ("application/x-ndjson;q=0", "json"),
        ("application/x-ndjson;q=0, */*", "json"),
        ("application/x-ndjson;q=0.5, application/json", "json"),
        ("application/json, application/x-ndjson", "json"),
        ("application/x-ndjson-more", "json"),
        ("application/x-ndjson;a*=b''c", "json"),
        ("*/*", "json"),
        ("text/plain", "json"),
        ("", "json"),
    ],
)
def test_results_come_in_the_form_that_is_liked_best(ann_api, batch, accept, kind):
    response = ann_api.call("POST", f"{batch}/files", data=A + END, headers=TAR | {"Accept": accept})
    assert response.headers["Content-Type"] == f"application/{kind}"


def test_a_form_without_its_boundary_is_400(ann_api, batch):
    response = ann_api.call("POST", f"{batch}/files", data=b"x", headers={"Content-Type": "multipart/form-data"})
    assert problem(response) == (400, "invalid")


def test_other_media_types_are_for_the_other_door(ann_api, batch):
    response = ann_api.call("POST", f"{batch}/files", data=b"x", headers={"Content-Type": "application/gzip"})
    assert response.status_code == 415


def test_nothing_is_read_for_a_stream_that_is_refused(ann_api, bob_api, batch, connect):
    target, lines = f"{batch}/files", ["Content-Length: 5", "Content-Type: application/x-tar"]
    assert_refused(connect(token=None), target, lines, (401, "not_authenticated"))
    assert_refused(connect(token=bob_api.token), target, lines, (404, "not_found"))
    full = f"/batches/{ann_api.make_batch(expected_files=1)['id']}"
    expect(201, ann_api.put(f"{full}/files/a", b"x"))
    assert_refused(connect(), f"{full}/files", lines, (409, "batch_completed"))
    form = ["Content-Length: 5", "Content-Type: multipart/form-data; boundary="]
    assert_refused(connect(), target, form, (400, "invalid"))


def assert_refused(client, target, lines, refusal):
    """The final status is the first thing that comes."""
    answer = client.ask("POST", target, *lines, "Expect: 100-continue")
    assert problem(answer) == refusal


def test_a_sealed_batch_refuses_each_but_what_it_has(ann_api, batch):
    send(ann_api, batch, A + END)
    session = ann_api.open_session(1, batch_id=batch.rpartition("/")[2], path="open")
    expect(204, ann_api.delete(f"/uploads/sessions/{session['session_id']}"))
    ann_api.open_session(1, batch_id=batch.rpartition("/")[2], path="pending")
    expect(200, ann_api.post(f"{batch}/seal", {}))
    results = send(ann_api, batch, A + Z + member(b"open", b"x") + END)
    assert told(results) == [("first", None), ("last", "batch_sealed"), ("open", None)]


def test_a_batch_takes_as_many_as_it_expects(ann_api):
    batch = f"/batches/{ann_api.make_batch(expected_files=3)['id']}"
    results = send(ann_api, batch, archive([(str(n), b"x") for n in range(5)]))
    assert told(results) == [("0", None), ("1", None), ("2", None), ("3", "batch_completed"), ("4", "batch_completed")]
    assert expect(200, ann_api.get(batch))["status"] == "COMPLETE"


def test_real_tar_and_curl_hand_over_a_folder(ann_api, batch, tmp_path, need):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    members = {"a": b"1", "sub/-b c": LARGE, f"sub/{'n' * 200}": b"", "ä": b"2"}
    for path, data in members.items():
        (folder / path).write_bytes(data)
    (folder / "link").symlink_to("a")
    os.mkfifo(folder / "fifo")
    curl = f"{need('curl')} -q -sS --noproxy '*' -f -H 'Authorization: Bearer {ann_api.token}'"
    tar = f"{need('tar')} -C {folder} -c . | {curl} -X POST -H 'Content-Type: application/x-tar' -T - "
    results = json.loads(subprocess.check_output(f"{tar} {ann_api.url}{batch}/files", shell=True))["results"]
    expected = dict.fromkeys(members) | {"link": "not_a_file", "fifo": "not_a_file"}
    assert dict(told(results)) == expected
    assert stored(ann_api, batch) == digests(*members.items())
    forms = f"{curl} -F files=@{folder}/a -F 'files=@{folder}/sub/-b c;filename=sub/-b c'"
    again = json.loads(subprocess.check_output(f"{forms} {ann_api.url}{batch}/files", shell=True))["results"]
    assert told(again) == [("a", None), ("sub/-b c", None)]
    assert stored(ann_api, batch) == digests(*members.items())


def tar_of(count, size=600):
    """Yield an archive of `count` members in pieces."""
    for number in range(count):
        info = tarfile.TarInfo(f"many/{number:06}")
        info.size = size
        data = b"%d" % number
        yield info.tobuf() + data + bytes(-(-size // 512) * 512 - len(data))
    yield END


def test_thousands_of_members_leave_the_memory_flat(tmp_path, fresh_database):
    with fresh_database() as url, LiveServer(tmp_path, database_url=url) as server:
        api = Api(server.url, server.create_token("ann"))
        archive, peaks = b"".join(tar_of(4000)), []
        # The database's page caches (8 MB a thread) and the heaps fill in rounds of their own choosing, with up to 5
        # MiB in one on a busy machine. What a member left behind would come with every round: 262 bytes of it fail all.
        for _ in range(9):
            batch = f"/batches/{api.make_batch()['id']}"
            assert len(send(api, batch, archive)) == 4000
            assert expect(200, api.get(batch))["stored_count"] == 4000
            peaks.append(peak_memory(server_pid(server)))
            if peaks[1:] and peaks[-1] - peaks[-2] < 2**20:
                return
        raise AssertionError(f"each round of 4,000 members took more: {peaks}")


def test_kill_9_loses_nothing_that_was_told(tmp_path, fresh_database):
    with fresh_database() as url, LiveServer(tmp_path, database_url=url) as server:
        token = server.create_token("ann")
        api = Api(server.url, token)
        batch = f"/batches/{api.make_batch()['id']}"

        seen, data = [], b"".join(tar_of(6000))
        with RawClient(server.url, token=token) as client:
            lines = [f"Content-Length: {len(data)}", *(f"{name}: {value}" for name, value in (TAR | LINES).items())]

            def send():
                with contextlib.suppress(OSError):
                    client.send(client.head("POST", f"{batch}/files", *lines) + data)

            with ThreadPoolExecutor(1) as pool:
                pool.submit(send)
                client._until(b"\r\n\r\n")
                while len(seen) < 300:
                    block = client._exactly(int(client._until(b"\r\n"), 16) + 2)
                    seen += [json.loads(line) for line in block.splitlines() if line]
                server.kill()
        assert len(seen) < 6000
        server.start()
        rows, path = {}, f"{batch}/files?limit=1000"
        while path:
            page = expect(200, api.get(path.removeprefix(api.url)))
            rows |= {row["id"]: row["sha256"] for row in page["results"]}
            path = page["next"]
        assert {line["file_id"] for line in seen} <= rows.keys()
        assert expect(200, api.get(batch))["stored_count"] == len(rows)
        for line in seen[::20]:
            content = api.get(f"/files/{line['file_id']}/content").content
            assert hashlib.sha256(content).hexdigest() == line["sha256"] == rows[line["file_id"]]

"""A manifest as NDJSON: a result for each line in order, whatever its length, and what was told stays."""

import asyncio
import json
import threading
from unittest.mock import AsyncMock

import pytest

from portal.transfer import manifest
from portal.transfer.manifest import BLOCK_LINES, MAX_LINE_BYTES, Lines
from portal.transfer.pools import Jobs
from tests.api import expect
from tests.patience import wait_until
from tests.transfer.uploads import problem

LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture
def batch(ann_api):
    """The path of a new batch."""
    return f"/batches/{ann_api.make_batch()['id']}"


def line(path, size=1, **members):
    """Return one line."""
    return json.dumps({"path": path, "total_size_bytes": size, **members}).encode() + b"\n"


def declare(api, batch, body, **options):
    """Send a manifest; return its results."""
    return expect(200, api.put(f"{batch}/manifest", body, **options))["results"]


def total(api, batch):
    """Return how many files the batch has, all of them pending."""
    row = expect(200, api.get(batch))
    assert row["total_files"] == row["pending_count"]
    return row["total_files"]


@pytest.mark.parametrize("step", [None, 1, 7, 1000])
def test_a_stream_is_cut_into_its_lines(step):
    stream = b"a\n\n  \nb c\r\n" + b"x" * MAX_LINE_BYTES + b"\n" + b"y" * (MAX_LINE_BYTES + 1) + b"\nlast"
    lines, step = Lines(), step or len(stream)
    for start in range(0, len(stream), step):
        lines.feed(stream[start : start + step])
    lines.finish()
    assert lines.take(2) == [b"a", b"b c\r"]
    assert lines.take(9) == [b"x" * MAX_LINE_BYTES, None, b"last"]


@pytest.mark.parametrize("body", [list, iter], ids=["sized", "chunked"])
def test_any_number_of_files_is_declared(ann_api, batch, body):
    paths = [f"{n % 3}/{n}" for n in range(2 * BLOCK_LINES + 3)]
    data = b"".join(line(path, 2) for path in paths).rstrip()
    results = declare(ann_api, batch, data if body is list else iter([data[:999], data[999:]]))
    assert [(result["path"], result["action"]) for result in results] == [(path, "upload") for path in paths]
    assert total(ann_api, batch) == len(paths)
    expect(201, ann_api.put(f"{batch}/files/{paths[0]}", b"ab"))
    again = declare(ann_api, batch, data)
    assert [result["action"] for result in again] == ["stored"] + ["upload"] * (len(paths) - 1)
    assert [result["file_id"] for result in again] == [result["file_id"] for result in results]


def test_a_bad_line_is_rejected_and_the_rest_goes_on(ann_api, batch):
    bad = [b"no json", b"[]", b'"a"', b"{}", b'{"path": "\\ud800"}', b"\xff", b"{" * 2000, b"x" * 20_000, b"NaN"]
    bad += [line("../a").strip(), line("a", -1).strip(), line("a", 2**63).strip(), line("a", sha256="x").strip()]
    results = declare(ann_api, batch, line("first") + b"\n".join(bad) + b"\n" + line("last"))
    assert [result["action"] for result in results] == ["upload"] + ["rejected"] * len(bad) + ["upload"]
    assert {result["error"]["code"] for result in results[1:-1]} == {"invalid"}
    assert total(ann_api, batch) == 2


def test_lines_are_read_and_told_of_beside_the_loop(monkeypatch):
    threads = set()

    def note(*_, **__):
        threads.add(threading.current_thread())

    for name in ("_read_line", "declare_files", "render_declared"):
        monkeypatch.setattr(manifest, name, note)
    results = AsyncMock()
    asyncio.run(manifest._declare(Jobs(), results, None, None, [b"1", b"2"]))
    results.add.assert_awaited_once_with([None, None])
    assert threads
    assert threading.current_thread() not in threads


def test_nothing_at_all_declares_nothing(ann_api, batch):
    assert declare(ann_api, batch, b"") == []


def test_lines_are_answered_by_lines_when_asked_for(ann_api, batch):
    response = ann_api.put(f"{batch}/manifest", line("a") + line("b"), headers=LINES)
    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(text)["path"] for text in response.text.splitlines()] == ["a", "b"]


def test_a_stream_that_breaks_off_keeps_the_lines_that_came_whole(ann_api, batch, connect):
    client = connect()
    head = client.head("PUT", f"{batch}/manifest", "Content-Length: 99999")
    client.send(head + line("a") + line("b") + line("half")[:-5])
    client.finish_sending()
    client.rest()
    wait_until(lambda: total(ann_api, batch) == 2)


def test_somebody_elses_batch_is_404_and_another_method_405(bob_api, ann_api, batch):
    assert problem(bob_api.put(f"{batch}/manifest", line("a"))) == (404, "not_found")
    assert problem(ann_api.get(f"{batch}/manifest")) == (405, "method_not_allowed")


def test_a_batch_that_takes_no_more_rejects_each(ann_api, batch):
    declare(ann_api, batch, line("a"))
    expect(200, ann_api.post(f"{batch}/seal", {}))
    results = declare(ann_api, batch, line("a") + line("b"))
    assert [result["action"] for result in results] == ["upload", "rejected"]
    assert results[1]["error"]["code"] == "batch_sealed"

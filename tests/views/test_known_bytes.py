"""Known bytes over HTTP, in both ways to declare: `stored`, and there to be read; only for who may read."""

import hashlib
import json
import os

import pytest

from tests.api import Api, expect


@pytest.fixture
def data(ann_api):
    """Bytes that ann has stored."""
    data = os.urandom(70_000)
    ann_api.store(data)
    return data


def entry(path, data):
    """Return what declares `data`."""
    return {"path": path, "total_size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def declare(api, batch, *entries, **options):
    """Declare by JSON; return the results."""
    return expect(200, api.post(f"/batches/{batch['id']}/files", {"files": entries}, **options))["results"]


def test_known_bytes_are_stored_by_json_and_by_manifest(ann_api, data):
    batch = ann_api.make_batch()
    (result,) = declare(ann_api, batch, entry("json", data))
    lines = b"\n".join(json.dumps(entry(path, data)).encode() for path in ("json", "manifest"))
    results = expect(200, ann_api.put(f"/batches/{batch['id']}/manifest", lines))["results"]
    assert [found["action"] for found in (result, *results)] == ["stored"] * 3
    assert result == results[0]
    assert result.keys() == {"path", "action", "file_id"}
    for found in results:
        content = ann_api.get(f"/files/{found['file_id']}/content")
        assert content.content == data
        assert content.headers["ETag"] == f'"{entry("", data)["sha256"]}"'
    row = expect(200, ann_api.get(f"/batches/{batch['id']}"))
    assert (row["stored_count"], row["stored_bytes"], row["status"]) == (2, 140_000, "COMPLETE")
    expect(200, ann_api.post(f"/batches/{batch['id']}/seal", {}))
    receipt = ann_api.get(f"/batches/{batch['id']}/receipt", headers={"Accept": "text/plain"})
    assert [line.split("  ")[1] for line in receipt.text.splitlines()] == ["json", "manifest"]


def test_a_repeated_key_has_the_same_answer(ann_api, data):
    batch, key = ann_api.make_batch(), {"Idempotency-Key": os.urandom(8).hex()}
    first = declare(ann_api, batch, entry("a", data), headers=key)
    assert first[0]["action"] == "stored"
    assert declare(ann_api, batch, entry("a", data), headers=key) == first


def test_nobody_else_and_nobody_who_may_not_read_is_told(portal_server, bob_api, ann_api, data):
    assert declare(bob_api, bob_api.make_batch(), entry("a", data))[0]["action"] == "upload"
    blind = Api(portal_server.url, portal_server.create_token("ann", "--scope", "upload"))
    assert declare(blind, blind.make_batch(), entry("a", data))[0]["action"] == "upload"

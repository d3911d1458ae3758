"""Two nodes on one database and one bucket: either may die, nothing acknowledged is lost, counters have no drift."""

import hashlib
import time

import pytest
import requests

from tests.api import Api, expect
from tests.crashes.nodes import CLIENTS, Client, Nodes
from tests.rounds import FULL, make_dice

ROUNDS = 50 if FULL else 4
#: How long a node works between two deaths, in seconds.
BETWEEN = (0.3, 1.5)


@pytest.fixture
def bucket(rclone):
    return rclone.new_bucket()


@pytest.fixture
def nodes(tmp_path, rclone, bucket, fresh_database):
    with fresh_database() as url:
        places = {"database_url": url, "storage_url": rclone.storage_url(bucket)}
        with Nodes(tmp_path, dice=make_dice("nodes"), **places) as nodes:
            yield nodes


@pytest.mark.timeout(3600)
def test_either_node_may_die_at_any_time(nodes, rclone, bucket):
    one = nodes.nodes[0]
    token = one.create_token("ann")
    api = Api(one.url, token)
    batch = api.make_batch()["id"]
    clients = [Client([node.url for node in nodes.nodes], token, batch, seed) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(ROUNDS):
        time.sleep(nodes.dice.uniform(*BETWEEN))
        nodes.kill_and_revive()
    for client in clients:
        client.stopped.set()
    for client in clients:
        client.join()
        assert client.failure is None, client.failure
    stored = dict(pair for client in clients for pair in client.stored)
    assert len(stored) >= ROUNDS
    _each_is_there_once(nodes, api, stored, batch)
    _nothing_else_is_there(one, rclone, bucket, stored)


def _each_is_there_once(nodes, api, stored, batch):
    """Rows, counters, events and bytes say the same, at either node."""
    for node in nodes.nodes:
        counted = expect(200, Api(node.url, api.token).get(f"/batches/{batch}"))
        assert [counted[name] for name in ("stored_count", "failed_count", "pending_count")] == [len(stored), 0, 0]
    told = nodes.nodes[0].rows("SELECT file_id FROM portal_outboxevent WHERE event_type = 'file.uploaded'")
    assert len(told) == len(set(told)) == len(stored)
    for number, (file_id, sha256) in enumerate(stored.items()):
        answer = Api(nodes.nodes[number % 2].url, api.token).get(f"/files/{file_id}/content", allow_redirects=False)
        assert hashlib.sha256(requests.get(answer.headers["Location"], timeout=60).content).hexdigest() == sha256


def _nothing_else_is_there(node, rclone, bucket, stored):
    """No drift, each file reads back as its digest says, and there is no object that no row names."""
    node.command("reconcile_batches")
    node.manage("verify_files")
    named = {key for (key,) in node.rows("SELECT storage_key FROM portal_ingestfile WHERE status = 'STORED'")}
    assert {key.removeprefix("portal/objects/") for key in rclone.objects(bucket)} == named
    assert len(named) == len(stored)

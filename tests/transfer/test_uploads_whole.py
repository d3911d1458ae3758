"""Whole files through the byte door: parts in any order and at once come back byte for byte, in flat memory."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api import Api, expect
from tests.samples import CHUNK
from tests.server import LiveServer
from tests.transfer.server_process import peak_memory, server_pid
from tests.transfer.uploads import Upload

MIB = 2**20


def test_parts_in_any_order_and_at_once_come_back_byte_for_byte(portal_server, ann_api):
    upload = Upload(ann_api, size=40 * CHUNK + 1234)
    numbers = list(range(1, 42))
    random.Random(5).shuffle(numbers)
    # A connection for each thread: a `requests` session is not made for several.
    with ThreadPoolExecutor(8) as pool:
        send = lambda n: Api(portal_server.url, ann_api.token).put(upload.target(n), upload.part(n)).status_code  # noqa: E731
        assert list(pool.map(send, numbers)) == [200] * 41
    assert upload.listing()["received_parts"] == [[1, 41]]
    assert upload.finish() == upload.data


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_a_file_around_one_chunk_comes_back_byte_for_byte(ann_api, size):
    upload = Upload(ann_api, size=size)
    assert upload.session["total_parts"] == -(-size // CHUNK)
    assert upload.finish() == upload.data


def test_a_file_has_the_digest_that_was_declared(ann_api):
    upload = Upload(ann_api, size=10, sha256="0" * 64)
    expect(200, upload.put(1))
    assert ann_api.finalize(upload.session).status_code == 422


def test_64_mib_in_and_out_leave_the_memory_flat(tmp_path, fresh_database):
    # A server of its own: what the tests before have done must not count.
    with fresh_database() as url, LiveServer(tmp_path, database_url=url) as server:
        api = Api(server.url, server.create_token("ann"))
        api.store(bytes(9 * MIB), chunk_size_bytes=8 * MIB)
        before = peak_memory(server_pid(server))
        file = api.store(bytes(64 * MIB), chunk_size_bytes=8 * MIB)
        with api.get(f"/files/{file['id']}/content", stream=True) as response:
            assert sum(len(block) for block in response.iter_content(MIB)) == 64 * MIB
        assert peak_memory(server_pid(server)) - before < 24 * MIB


def test_one_part_of_64_mib_leaves_the_memory_flat(tmp_path, fresh_database):
    with fresh_database() as url, LiveServer(tmp_path, database_url=url) as server:
        api = Api(server.url, server.create_token("ann"))
        api.store(bytes(MIB))
        before = peak_memory(server_pid(server))
        api.store(bytes(64 * MIB), chunk_size_bytes=64 * MIB)
        assert peak_memory(server_pid(server)) - before < 24 * MIB

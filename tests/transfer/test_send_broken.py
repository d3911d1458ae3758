"""Downloads that go wrong: bytes that the disk has lost, and clients that go away or do not read."""

import asyncio
import time
from pathlib import Path

import pytest

from portal.storage import StorageUnavailable, get_storage
from portal.transfer import send, stream
from tests.api import Api, expect
from tests.patience import wait_until
from tests.raw import RawClient
from tests.samples import make_token, pattern, store_file
from tests.server import LiveServer
from tests.transfer.server_process import open_files, peak_memory, server_pid
from tests.transfer.uploads import problem
from tests.transfer.wire import Wire, own_thread_pools

MIB = 2**20


def path_on_disk(server, data):
    """Return the one stored file with these bytes."""
    objects = [path for path in Path(server.data_dir, "storage", "objects").rglob("*") if path.is_file()]
    [found] = [path for path in objects if path.read_bytes() == data]
    return found


@pytest.mark.parametrize("damage", ["vanished", "empty", "cut short", "longer"])
def test_a_file_whose_bytes_are_not_there_is_503_and_no_broken_200(portal_server, ann_api, damage):
    data = pattern(1000, seed=damage)
    file = ann_api.store(data)
    path = path_on_disk(portal_server, data)
    if damage == "vanished":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut short": data[:999], "longer": data + b"x"}[damage])
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = ann_api.get(f"/files/{file['id']}/content", headers=headers)
        assert problem(answer) == (503, "storage_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert str(path.name) not in answer.text
    # What is known of it is still told, and a client that has the bytes need not fetch them.
    assert expect(200, ann_api.get(f"/files/{file['id']}"))["status"] == "STORED"
    assert not open_files(server_pid(portal_server), path)


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_goes_away_frees_the_descriptor(portal_server, ann_api, connect, leave):
    data = pattern(16 * MIB, seed=leave)
    file = ann_api.store(data, chunk_size_bytes=16 * MIB)
    path, pid = path_on_disk(portal_server, data), server_pid(portal_server)
    clients = [connect(receive_buffer=4096) for _ in range(5)]
    for client in clients:
        client.send(client.head("GET", f"/files/{file['id']}/content"))
        assert client.socket.recv(100)
    wait_until(lambda: len(open_files(pid, path)) == 5)
    for client in clients:
        client.socket.close() if leave == "close" else client.reset()
    wait_until(lambda: not open_files(pid, path))


def test_a_download_that_ends_frees_the_descriptor(portal_server, ann_api, connect):
    data = pattern(MIB, seed="ends")
    path = f"/files/{ann_api.store(data)['id']}/content"
    on_disk, pid = path_on_disk(portal_server, data), server_pid(portal_server)
    for lines in ([], ["Range: bytes=5-10"], ["Range: bytes=9999999-"], ["If-None-Match: *"], ['If-Match: "x"']):
        connect().ask("GET", path, *lines)
    connect().ask("HEAD", path)
    wait_until(lambda: not open_files(pid, on_disk))


def test_a_file_that_is_deleted_meanwhile_is_read_to_its_end(portal_server, ann_api, connect):
    data = pattern(16 * MIB, seed="deleted")
    file = ann_api.store(data, chunk_size_bytes=16 * MIB)
    client = connect(receive_buffer=4096)
    client.send(client.head("GET", f"/files/{file['id']}/content"))
    wait_until(lambda: open_files(server_pid(portal_server), path_on_disk(portal_server, data)))
    expect(204, ann_api.delete(f"/files/{file['id']}"))
    assert client.answer().body == data


def test_downloads_that_nobody_reads_hold_little_memory(tmp_path, fresh_database):
    with fresh_database() as url, LiveServer(tmp_path, database_url=url) as server:
        token = server.create_token("ann")
        file = Api(server.url, token).store(bytes(64 * MIB), chunk_size_bytes=8 * MIB)
        pid = server_pid(server)
        before = peak_memory(pid)
        clients = [RawClient(server.url, token=token, receive_buffer=4096) for _ in range(8)]
        for client in clients:
            client.send(client.head("GET", f"/files/{file['id']}/content"))
            client.socket.recv(100)
        wait_until(lambda: len(open_files(pid, tmp_path)) >= 8)
        time.sleep(0.5)  # what would be read ahead, were there no bound, is read in this time
        assert peak_memory(pid) - before < 48 * MIB
        for client in clients:
            client.reset()


def test_a_client_that_stops_reading_is_given_up(transactional_db, ann, monkeypatch, caplog):
    monkeypatch.setattr(stream, "STALL_SECONDS", 0.2)
    file = store_file(ann, get_storage(), pattern(1000))
    wire = Wire("GET", f"/files/{file.pk}/content", token=make_token(ann), body=b"")

    async def take(message):
        wire.messages.append(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    wire.send = take
    with own_thread_pools(monkeypatch):
        asyncio.run(asyncio.wait_for(wire.run(), 10))
    assert wire.status == 200
    assert not wire.ended
    assert "answer broke off" not in caplog.text


def test_bytes_that_vanish_in_mid_download_break_the_answer_off(transactional_db, ann, monkeypatch, caplog):
    monkeypatch.setattr(send, "BLOCK_BYTES", 400)
    file = store_file(ann, get_storage(), pattern(1000))
    monkeypatch.setattr("portal.storage.ranges.LocalObject.read", lambda _, offset, size: pattern(1000)[:400][offset:])
    with own_thread_pools(monkeypatch):
        wire = asyncio.run(Wire("GET", f"/files/{file.pk}/content", token=make_token(ann), body=b"").run())
    assert wire.status == 200
    assert not wire.ended, "an answer that ends would look whole"
    assert "answer broke off" in caplog.text


@pytest.mark.parametrize(("method", "status"), [("GET", 503), ("HEAD", 200)])
def test_bytes_that_cannot_be_read_at_all_are_no_answer_that_breaks_off(
    transactional_db, ann, monkeypatch, caplog, method, status
):
    """As with a store that tells an object's size and refuses its bytes."""
    file = store_file(ann, get_storage(), pattern(1000))

    def refuse(*_):
        raise StorageUnavailable("The store refuses.")

    monkeypatch.setattr("portal.storage.ranges.LocalObject.read", refuse)
    with own_thread_pools(monkeypatch):
        wire = asyncio.run(Wire(method, f"/files/{file.pk}/content", token=make_token(ann), body=b"").run())
    assert (wire.status, wire.ended) == (status, True)
    assert "answer broke off" not in caplog.text

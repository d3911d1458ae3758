"""A body that breaks off, or overruns, at the real server: the part is as if nobody had ever sent it."""

import pytest
from blake3 import blake3

from tests.samples import CHUNK, pattern
from tests.transfer.uploads import problem, read_json

CUTS = [0, 1, CHUNK // 2, CHUNK - 1]


def send_short(client, upload, size, data=None):
    head = client.head("PUT", upload.target(), f"Content-Length: {CHUNK}")
    client.send(head + (data or upload.part())[:size])


@pytest.mark.parametrize("size", CUTS)
def test_a_client_that_half_closes_early_hears_that_nothing_was_stored(upload, connect, size):
    client = connect()
    send_short(client, upload, size)
    client.finish_sending()
    assert problem(client.answer()) == (400, "incomplete_body")
    assert client.closed_by_server()
    assert upload.untouched()
    assert upload.finish() == upload.data


@pytest.mark.parametrize("size", CUTS)
@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_leaves_early_leaves_nothing_behind(upload, connect, leave, size):
    client = connect()
    send_short(client, upload, size, data=pattern(CHUNK, seed="other"))
    client.socket.close() if leave == "close" else client.reset()
    # Had these first bytes been recorded, the true ones would be a conflict now.
    assert upload.put().status_code == 200
    assert upload.listing()["received_parts"] == [[1, 1]]
    assert upload.finish() == upload.data


def test_a_recorded_part_survives_a_broken_repetition(upload, connect):
    assert upload.put().status_code == 200
    before = upload.listing()
    for size in CUTS:
        client = connect()
        send_short(client, upload, size, data=pattern(CHUNK, seed="other"))
        client.finish_sending()
        assert problem(client.answer()) == (400, "incomplete_body")
    assert upload.listing() == before
    assert upload.finish() == upload.data


@pytest.mark.parametrize(
    "surplus", [b"x", b"\r\n" * 50, b"\0" * CHUNK, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
@pytest.mark.parametrize("at_once", [True, False])
def test_bytes_beyond_the_length_never_change_a_part(upload, connect, surplus, at_once):
    client = connect()
    for number in (1, 2):
        head = client.head("PUT", upload.target(number), f"Content-Length: {CHUNK}")
        client.send(head + upload.part(number) + (surplus if at_once else b""))
        answer = client.answer()
        assert answer.status == 200
        assert read_json(answer)["digest"]["value"] == blake3(upload.part(number)).hexdigest()
        if not at_once:
            client.send(surplus)
        client = connect()
    assert upload.listing()["received_parts"] == [[1, 2]]
    assert upload.finish() == upload.data

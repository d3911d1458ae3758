"""Uploads through a store that fails in every way: nothing acknowledged is lost, nothing STORED is wrong."""

import hashlib
from contextlib import suppress

import pytest

from portal.exceptions import PartBusy, PortalError, StorageUnavailable
from portal.models import OutboxEvent, UploadSession
from portal.services.cleanup import remove_dead_bytes, sweep_unnamed
from portal.services.finalize import finalize_session
from portal.services.parts import begin_part
from portal.services.sessions import abort_session
from portal.storage import s3_client, s3_reads
from portal.storage.s3 import S3Storage
from tests.rounds import FULL, rounds
from tests.s3_proxy import FAULTS, FaultProxy
from tests.samples import make_batch, open_session, pattern, ready_session
from tests.services.situations import counters, session_row

CHUNK = 5 * 2**20
DATA = pattern(CHUNK + 7)
#: How often a client tries again before the test gives up.
PATIENCE = 60
#: How many requests a finalize makes that nothing happens to.
FINALIZE_CALLS = 3
#: In the quick run each server has its share, in the full one all of it.
SERVERS = ("rclone", "ministack")
POINTS = [(fault, times) for fault in FAULTS for times in ((1,) if fault == "hang" else (1, 8))]


def shared(cases):
    """Return `(server, case)` pairs: all with full counts, else each case with one of the servers."""
    if FULL:
        return [(server, case) for server in SERVERS for case in cases]
    return [(SERVERS[number % 2], case) for number, case in enumerate(cases)]


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def proxy(server):
    with FaultProxy(server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def storage(server, bucket, proxy, monkeypatch):
    """The bucket behind the proxy; what waits for seconds elsewhere is in no hurry to be tested here."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(s3_client, "READ_SECONDS", 1)
    monkeypatch.setattr(s3_reads.time, "sleep", lambda _: None)
    return S3Storage(server.storage_url(bucket, endpoint=proxy.endpoint))


def insist(call):
    """Return what `call` gives, as a client gets it that tries again after every fault."""
    for _ in range(PATIENCE):
        try:
            return call()
        except (StorageUnavailable, PartBusy):
            continue
    raise AssertionError("never done")


def send(caller, storage, session, number, data):
    """Send one part as a client does; the acknowledgement counts."""

    def attempt():
        writer = begin_part(caller, session.pk, number, len(data), storage=storage)
        try:
            assert writer.recorded or writer.acquire()
            writer.write(data)
            writer.sync()
            return writer.record()
        finally:
            writer.close()

    return insist(attempt)


def finish(session, storage):
    """Finalize until there is a file; each fault puts the session off, and the worker would come back."""

    def attempt():
        UploadSession.objects.filter(pk=session.pk).update(lease_until=session.created_at)
        return finalize_session(session_row(session), storage=storage)

    for _ in range(PATIENCE):
        file = attempt()
        if file is not None:
            return file
    raise AssertionError("never stored")


def upload(caller, storage, data, **fields):
    """Take one file the whole way."""
    session = insist(lambda: open_session(caller, storage, size=len(data), chunk_size_bytes=CHUNK, **fields))
    for number in range(1, session.total_parts + 1):
        send(caller, storage, session, number, data[(number - 1) * CHUNK : number * CHUNK])
    return finish(session, storage)


@pytest.mark.parametrize(("server", "seed"), shared(range(rounds(200))), indirect=["server"])
def test_a_store_that_fails_by_dice(ann, storage, server, bucket, proxy, seed):
    batch = make_batch(ann)
    proxy.misbehave(seed, share=0.15)
    files = [upload(ann, storage, data, batch=batch) for data in (DATA, b"small", b"")]
    given_up = insist(lambda: open_session(ann, storage, size=len(DATA), chunk_size_bytes=CHUNK, batch=batch))
    send(ann, storage, given_up, 1, DATA[:CHUNK])
    abort_session(session_row(given_up))
    with suppress(PortalError):
        remove_dead_bytes(storage=storage)
    proxy.behave()
    # A store that did as it was told would have proved nothing.
    assert proxy.hit
    stored = {storage.public_key(file.storage_key): file.sha256 for file in files}
    found = {key: hashlib.sha256(data).hexdigest() for key, data in server.objects(bucket).items()}
    assert stored.items() <= found.items()
    assert sorted(stored.values()) == sorted(hashlib.sha256(data).hexdigest() for data in (DATA, b"small", b""))
    assert (counters(batch), OutboxEvent.objects.count()) == ((4, 3, 1, 0), 4)
    remove_dead_bytes(storage=storage)
    sweep_unnamed(storage=storage, older_than=-60)
    assert {key for key in server.keys(bucket) if "/trash/" not in key} == set(stored)
    assert server.uploads(bucket) == []


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_a_finalize_makes_three_calls(ann, storage, server, proxy):
    session = ready_session(ann, storage, DATA, chunk_size_bytes=CHUNK)
    begun = len(proxy.requests)
    assert finalize_session(session_row(session), storage=storage) is not None
    assert len(proxy.requests) - begun == FINALIZE_CALLS


@pytest.mark.parametrize(("server", "case"), shared(POINTS), indirect=["server"])
def test_every_call_of_finalize_fails_at_each_point(ann, storage, server, bucket, proxy, case):
    fault, times = case
    for point in range(FINALIZE_CALLS):
        session = ready_session(ann, storage, DATA, chunk_size_bytes=CHUNK)
        start = len(proxy.requests) + point
        proxy.plan = lambda number, *_, start=start: fault if start <= number < start + times else None
        proxy.hit.clear()
        finalize_session(session_row(session), storage=storage)
        proxy.behave()
        assert proxy.hit[fault]
        file = finish(session, storage)
        assert server.read(bucket, storage.public_key(file.storage_key)) == DATA
        assert file.sha256 == hashlib.sha256(DATA).hexdigest()
        assert server.uploads(bucket) == []
    assert OutboxEvent.objects.count() == FINALIZE_CALLS

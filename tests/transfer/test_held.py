"""A stream with a digest of the whole: nothing is looked at before all of it has come and has that digest."""

import asyncio
import base64
import errno
import hashlib
import json

import pytest

from portal.models import IngestFile
from portal.storage import spool
from portal.transfer.held import HeldBody
from portal.transfer.receive import GATHER_BYTES
from tests.api import expect
from tests.samples import make_batch, make_token, pattern
from tests.transfer import test_forms as forms
from tests.transfer.tars import archive
from tests.transfer.uploads import problem
from tests.transfer.wire import Wire

NAMES = ["Content-Digest", "Repr-Digest"]
MEMBERS = [("a", b"1"), ("b/c", pattern(3 * GATHER_BYTES + 9)), ("d", b"")]
TAR = archive(MEMBERS)
FORM = b"".join(forms.file(path.encode(), data) for path, data in MEMBERS) + forms.END
MANIFEST = b"".join(b'{"path": "%d", "total_size_bytes": 1}\n' % number for number in range(1100))
STREAMS = {
    "tar": ("POST", "files", "application/x-tar", TAR),
    "form": ("POST", "files", "multipart/form-data; boundary=B", FORM),
    "manifest": ("PUT", "manifest", "application/x-ndjson", MANIFEST),
}
EACH = pytest.mark.parametrize("kind", list(STREAMS))


@pytest.fixture
def batch(ann_api):
    """The path of a new batch of ann's."""
    return f"/batches/{ann_api.make_batch()['id']}"


def digest(data):
    """Return the value of a digest's header for these bytes."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def send(api, batch, kind, headers, *, cut=lambda data: data):
    """Send a stream of this kind with more `headers`; return the answer."""
    method, tail, media_type, data = STREAMS[kind]
    return api.call(method, f"{batch}/{tail}", data=cut(data), headers={"Content-Type": media_type} | headers)


def told(answer):
    """Return the path and the outcome of each result, of either form."""
    if answer.headers["Content-Type"] == "application/x-ndjson":
        results = [json.loads(line) for line in answer.text.splitlines()]
    else:
        results = expect(200, answer)["results"]
    return [(result["path"], result.get("status") or result["action"]) for result in results]


def total(api, batch):
    """Return how many files the batch has."""
    return expect(200, api.get(batch))["total_files"]


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize(
    "cut", [lambda data: data, lambda data: iter([data[:700], data[700:]])], ids=["sized", "chunked"]
)
@pytest.mark.parametrize("name", NAMES)
@EACH
def test_what_has_its_digest_is_taken_as_without(ann_api, batch, kind, name, cut, accept):
    other = f"/batches/{ann_api.make_batch()['id']}"
    with_digest = send(ann_api, batch, kind, {name: digest(STREAMS[kind][3]), "Accept": accept}, cut=cut)
    results = told(with_digest)
    assert results == told(send(ann_api, other, kind, {}))
    assert len(results) == total(ann_api, batch) == total(ann_api, other) > 0
    if kind != "manifest":
        stored = expect(200, ann_api.get(f"{batch}/files"))["results"]
        assert {file["path"]: file["sha256"] for file in stored} == {
            path: hashlib.sha256(data).hexdigest() for path, data in MEMBERS
        }


@pytest.mark.parametrize("headers", [{name: digest(b"other")} for name in NAMES], ids=NAMES)
@EACH
def test_what_has_another_digest_changes_nothing(ann_api, batch, kind, headers):
    assert problem(send(ann_api, batch, kind, headers)) == (400, "digest_mismatch")
    # One of two is enough.
    right = {name: digest(STREAMS[kind][3]) for name in NAMES}
    assert problem(send(ann_api, batch, kind, right | headers)) == (400, "digest_mismatch")
    assert total(ann_api, batch) == 0


@EACH
def test_a_digest_that_cannot_be_read_is_refused_before_the_body(batch, connect, kind):
    method, tail, media_type, _ = STREAMS[kind]
    lines = f"Content-Type: {media_type}", "Content-Digest: sha-256=:AAAA:", "Content-Length: 5", "Expect: 100-continue"
    assert problem(connect().ask(method, f"{batch}/{tail}", *lines)) == (400, "invalid")


@EACH
def test_what_breaks_off_changes_nothing(ann_api, batch, connect, kind):
    method, tail, media_type, data = STREAMS[kind]
    lines = f"Content-Type: {media_type}", f"Content-Digest: {digest(data)}", f"Content-Length: {len(data)}"
    client = connect()
    client.send(client.head(method, f"{batch}/{tail}", *lines) + data[:-1])
    client.finish_sending()
    assert problem(client.answer(method)) == (400, "incomplete_body")
    assert total(ann_api, batch) == 0


def held_tar(ann, body=TAR, **headers):
    """Return the Wire of a tar with its digest, into a new batch."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/x-tar", f"Content-Digest: {digest(TAR)}"]
    return Wire("POST", f"/batches/{make_batch(ann).pk}/files", *lines, token=make_token(ann), body=body)


@pytest.fixture
def watched(monkeypatch):
    """The spools that are made."""
    made = []
    begin = spool.Spool.__init__

    def watch(self, *arguments):
        begin(self, *arguments)
        made.append(self)

    monkeypatch.setattr(spool.Spool, "__init__", watch)
    return made


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "chunked"])
def test_a_disk_that_is_nearly_full_takes_none(own_pools, ann, watched, monkeypatch, settings, sized):
    settings.PORTAL_MIN_FREE_BYTES = 1000
    # Room for all but a byte of what is announced; of what is not, for none.
    monkeypatch.setattr(spool.Spool, "free_bytes", lambda _: (999 + len(TAR)) if sized else 999)
    wire = held_tar(ann, **({"Content_Length": len(TAR), "Expect": "100-continue"} if sized else {}))
    asyncio.run(wire.run())
    assert (wire.status, wire.code) == (507, "insufficient_storage")
    # Told from its length, before any of it was asked for.
    assert (wire.asked == 0) == sized
    [held] = watched
    assert held.size == 0
    assert held._file.closed
    assert not IngestFile.objects.exists()


def test_what_stays_in_memory_needs_no_disk(own_pools, ann, monkeypatch, settings):
    settings.PORTAL_MIN_FREE_BYTES = 1000
    monkeypatch.setattr(spool.Spool, "free_bytes", lambda _: 0)
    small = archive(MEMBERS[:1])
    lines = ["Content-Type: application/x-tar", f"Content-Digest: {digest(small)}"]
    wire = Wire("POST", f"/batches/{make_batch(ann).pk}/files", *lines, token=make_token(ann), body=small)
    asyncio.run(wire.run())
    assert wire.status == 200


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503)])
@pytest.mark.parametrize("call", ["write", "seek", "read"])
def test_what_the_disk_says_is_told_and_nothing_is_left(own_pools, ann, watched, monkeypatch, call, number, status):
    def fail(*_):
        raise OSError(number, "no")

    def break_it(size):
        watched[0]._file.rollover()
        monkeypatch.setattr(watched[0]._file, call, fail)
        return True

    wire = held_tar(ann)
    monkeypatch.setattr(HeldBody, "_refuse_when_full", lambda _, size: break_it(size))
    asyncio.run(wire.run())
    assert wire.status == status
    assert watched[0]._file.closed
    assert not IngestFile.objects.exists()


def test_what_is_gone_from_the_file_is_a_fault_and_not_a_wait(own_pools, ann, watched, monkeypatch):
    monkeypatch.setattr(spool.Spool, "read", lambda *_: b"")
    wire = held_tar(ann)
    asyncio.run(asyncio.wait_for(wire.run(), 30))
    assert (wire.status, wire.code) == (503, "storage_unavailable")


@pytest.mark.parametrize("leave", ["cancelled", "gone"])
def test_one_who_leaves_before_the_first_byte_leaves_nothing(own_pools, ann, watched, leave):
    wire = held_tar(ann, None, Transfer_Encoding="chunked")

    async def run():
        task = asyncio.ensure_future(wire.run())
        while not watched:
            await asyncio.sleep(0.01)
        task.cancel() if leave == "cancelled" else wire.leave()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert watched[0]._file.closed


def test_it_waits_in_a_file_and_is_let_go(own_pools, ann, watched):
    wire = held_tar(ann, Content_Length=len(TAR))
    asyncio.run(wire.run())
    assert wire.status == 200
    [held] = watched
    assert held.size == len(TAR) > spool.MEMORY_BYTES
    assert held._file._rolled
    assert held._file.closed
    assert IngestFile.objects.count() == len(MEMBERS)


def test_a_client_that_leaves_meanwhile_leaves_nothing(own_pools, ann, watched):
    wire = held_tar(ann, None, Content_Length=len(TAR))

    async def leave():
        wire.feed(TAR[:-1])
        task = asyncio.ensure_future(wire.run())
        while not watched or watched[0].size < len(TAR) - 1:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(leave(), 30))
    assert watched[0]._file.closed
    assert not IngestFile.objects.exists()

"""The calls: pages that follow each other, answers with types, refusals by their code."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import portal_client
from portal_client import PortalClient, PortalError, errors, lists
from portal_client.answers import make_error
from portal_client.plans import make_plan
from portal_client.sources import find_sources
from tests.client.trees import make_tree
from tests.docs.pages import named, read, rows
from tests.views.shapes import NOBODY


def test_lists_are_read_to_their_end(client, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 2)
    names = [secrets.token_hex(8) for _ in range(5)]
    for name in names:
        client.create_batch(name)
    found = [batch.name for _, batch in zip(range(5), client.batches(), strict=False)]
    assert found == names[::-1]


def test_files_of_a_batch_are_read_to_their_end(client, tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 2)
    folder = make_tree(tmp_path / "folder", {f"p {number}&=": b"" for number in range(5)})
    batch = client.upload_folder(folder, secrets.token_hex(8)).batch
    for files in (client.files(batch.id), client.files(batch.id, path_prefix="p ")):
        assert sorted(file.path for file in files) == [f"p {number}&=" for number in range(5)]
    assert list(client.files(batch.id, status="FAILED")) == []


@pytest.fixture
def name():
    """A name that no batch has."""
    return secrets.token_hex(8)


LIKE_AN_ID = "550e8400-e29b-41d4-a716-446655440000"


def test_a_batch_is_found_by_name_or_id_and_the_newest_of_a_name(client):
    name = secrets.token_hex(8)
    assert client.find_batch(name) is None
    assert client.find_batch(NOBODY) is None
    assert client.find_batch(client.create_batch(LIKE_AN_ID).id) == client.find_batch(LIKE_AN_ID)
    first = client.create_batch(name)
    second = client.create_batch(name)
    assert client.find_batch(name) == second
    assert client.find_batch(first.id) == first
    assert client.open_batch(name) == second


@pytest.fixture
def open_at_once(portal_server, ann_api):
    """Give a function by which four, who have all looked before, open a batch of `name`; it returns their ids."""

    def open_one(name, looked):
        other = PortalClient(portal_server.url, ann_api.token, cache=False)
        seen = list(other.batches())
        other.batches = lambda: iter(seen)
        looked.wait()
        return other.open_batch(name).id

    def open_four(name):
        looked = threading.Barrier(4, timeout=30)
        with ThreadPoolExecutor(4) as pool:
            return {job.result() for job in [pool.submit(open_one, name, looked) for _ in range(4)]}

    return open_four


def test_all_that_open_a_batch_of_one_name_at_once_get_the_same_one(client, name, open_at_once):
    (first,) = open_at_once(name)
    assert open_at_once(name) == {first}
    client.cancel(first)
    (second,) = open_at_once(name)
    assert second != first
    assert client.find_batch(name).id == second


def test_no_batch_that_was_cancelled_since_is_opened(client, name):
    first = client.open_batch(name, newest="")
    client.cancel(first.id)
    second = client.open_batch(name, newest="")
    client.cancel(second.id)
    third = client.open_batch(name, newest="")
    assert len({first.id, second.id, third.id}) == 3
    assert (client.open_batch(name, newest=""), third.status) == (third, "INIT")


@pytest.mark.parametrize("size", [1, 9 * 2**20], ids=["small", "large"])
@pytest.mark.parametrize("changed", [False, True])
def test_two_first_runs_of_one_folder_fill_one_batch(client, portal_server, ann_api, tmp_path, name, size, changed):
    folder = make_tree(tmp_path / "folder", {"a": b"a" * size, "b": b"b"})
    runs = [PortalClient(portal_server.url, ann_api.token, cache=False).prepare() for _ in range(2)]
    for run in runs:
        run.look([folder], name)
    first = runs[0].send(name)
    if changed:
        make_tree(folder, {"c": b"came since"})
        runs[1].found = find_sources([folder])
        runs[1].plan = make_plan(runs[1].found.sources, ())
        with pytest.raises(errors.BatchSealed):
            runs[1].send(name)
        return
    second = runs[1].send(name)
    assert first.receipt == second.receipt
    assert second.complete
    assert second.stored == 2
    assert client.find_batch(name).total_files == 2


@pytest.mark.parametrize("code", ["batch_sealed", "batch_completed"])
def test_what_a_run_has_sent_counts_though_another_seals_the_batch_meanwhile(client, tmp_path, name, code):
    folder = make_tree(tmp_path / "folder", {"a": b"a" * 9 * 2**20, "b": b"b"})
    ours, theirs = client.prepare(), client.prepare()
    ours.look([folder], name)
    send_missing = ours._send_missing

    def send_and_be_overtaken(sender, crew, batch_id):
        ours._send_missing = send_missing
        send_missing(sender, crew, batch_id)
        theirs.look([folder], name)
        theirs.send(name)
        raise make_error(409, {"code": code}, {})

    ours._send_missing = send_and_be_overtaken
    report = ours.send(name)
    assert report.complete
    assert report.receipt
    assert (report.stored, report.already, report.sent_bytes) == (2, 0, 9 * 2**20 + 1)


def test_refusals_are_raised_by_their_code(client, portal_server):
    with pytest.raises(errors.NotFound):
        client.batch(NOBODY)
    with pytest.raises(errors.NotAuthenticated):
        next(PortalClient(portal_server.url, "ptl_wrong", cache=False).batches())
    with pytest.raises(errors.Invalid) as caught:
        client.create_batch("x" * 300)
    assert "name: " in caught.value.detail
    assert caught.value.request_id


def test_a_receipt_before_the_end_is_refused(client):
    with pytest.raises(errors.BatchNotComplete):
        client.receipt(client.create_batch().id)


def test_an_address_that_is_none_is_refused_at_once():
    for url in ("portal.example.org", "ftp://portal.example.org", "https://"):
        with pytest.raises(PortalError, match="Not the address of a portal"):
            PortalClient(url, "ptl_x")


def test_every_code_that_has_a_class_is_one_of_the_portals():
    described = {named(row[0]) for row in rows(read("aikb/errors.md"))}
    assert set(errors.ApiError.by_code) <= described
    assert (errors.PASSING_CODES | errors.DOUBTFUL_CODES | errors.FATAL_CODES) - {"status_conflict"} <= described


def test_what_the_package_promises_is_there():
    assert all(hasattr(portal_client, name) for name in portal_client.__all__)

"""A folder into a batch: all of it, only what is missing, and what cannot be taken told and held up by nothing."""

import contextlib
import os
import secrets
from dataclasses import replace

import pytest

from portal_client import PortalClient, errors
from portal_client.bodies import Stamp
from portal_client.sources import find_sources
from portal_client.transport import Transport
from tests.api import expect
from tests.client.trees import digests, make_tree, some_files, stored_files
from tests.samples import pattern

MIB = 2**20
LARGE = {"large.bin": pattern(2 * 8 * MIB + 5), "sub/just one part": pattern(8 * MIB), "empty": b""}


@pytest.fixture
def name():
    return f"batch {secrets.token_hex(4)}"


@pytest.fixture
def requests_made(monkeypatch):
    """The requests that the package makes, as `(method, path)`."""
    made = []
    send = Transport._send

    def recorded(pool, method, url, headers, outgoing):
        made.append((method, url))
        return send(pool, method, url, headers, outgoing)

    monkeypatch.setattr(Transport, "_send", staticmethod(recorded))
    return made


def test_a_folder_is_stored_sealed_and_proven(client, ann_api, tmp_path, name):
    files = some_files(30) | LARGE
    folder = make_tree(tmp_path / "folder", files)
    report = client.upload_folder(folder, name)
    assert report.complete
    assert (report.files, report.stored, report.already, report.failures) == (len(files), len(files), 0, [])
    assert report.sent_bytes == report.size == sum(map(len, files.values()))
    assert stored_files(ann_api, report.batch.id) == digests(files)
    batch = expect(200, ann_api.get(f"/batches/{report.batch.id}"))
    assert (batch["name"], batch["status"], batch["stored_count"]) == (name, "COMPLETE", len(files))
    assert batch["completed_at"]
    assert report.receipt.manifest_sha256 == client.receipt(batch["id"]).manifest_sha256


def test_a_second_run_sends_nothing_in_few_requests(client, tmp_path, name, requests_made):
    folder = make_tree(tmp_path / "folder", some_files(20) | LARGE)
    first = client.upload_folder(folder, name)
    requests_made.clear()
    second = client.upload_folder(folder, name)
    assert second.complete
    assert (second.already, second.sent_bytes, second.to_send) == (second.files, 0, [])
    assert second.receipt == first.receipt
    assert not [method for method, _ in requests_made if method == "PUT"]
    assert len(requests_made) <= 7


def test_only_what_is_missing_is_sent(client, ann_api, tmp_path, name):
    files = some_files(10)
    folder = make_tree(tmp_path / "folder", files)
    client.upload_folder(folder, name, seal=False)
    more = {"new": b"new", "sub/large": pattern(9 * MIB)}
    make_tree(folder, more)
    looked = client.upload_folder(folder, name, dry_run=True)
    assert looked.to_send == sorted(more)
    report = client.upload_folder(folder, name)
    assert report.sent_bytes == sum(map(len, more.values()))
    assert report.already == 10
    assert stored_files(ann_api, report.batch.id) == digests(files | more)


def test_a_dry_run_makes_not_even_a_batch(client, tmp_path, name):
    folder = make_tree(tmp_path / "folder", some_files(3))
    report = client.upload_folder(folder, name, dry_run=True)
    assert (len(report.to_send), report.batch, report.failures) == (3, None, [])
    assert client.find_batch(name) is None


def test_what_cannot_be_taken_is_told_and_holds_up_nothing(client, ann_api, tmp_path, name, monkeypatch):
    files = some_files(5)
    folder = make_tree(tmp_path / "folder", files | {"locked": b"x", "line\nbreak": b"x"})
    make_unreadable(monkeypatch, folder / "locked")
    report = client.upload_folder(folder, name)
    assert [(failure.path, failure.code) for failure in report.failures] == [
        ("line\\nbreak", "bad_name"),
        ("locked", "unreadable"),
    ]
    assert not report.complete
    assert report.receipt is None
    assert stored_files(ann_api, report.batch.id) == digests(files)
    assert report.batch.sealed_at is None
    # Mended, the same call goes on and ends.
    monkeypatch.undo()
    (folder / "line\nbreak").unlink()
    report = client.upload_folder(folder, name)
    assert report.complete
    assert (report.already, report.receipt.stored_count) == (5, 6)


def make_unreadable(monkeypatch, file):
    """Let opening `file` fail as it does for whoever may not read it."""

    def refuse(place, *arguments, **options):
        if place == str(file):
            raise PermissionError(13, "Permission denied")
        return open(place, *arguments, **options)

    monkeypatch.setattr("portal_client.bodies.open", refuse, raising=False)


@pytest.mark.parametrize("size", [3, 9 * MIB], ids=["small", "large"])
def test_a_file_that_differs_from_the_stored_one_fails_and_is_not_sent(client, tmp_path, name, size):
    folder = make_tree(tmp_path / "folder", {"a": pattern(size), "b": pattern(size)})
    client.upload_folder(folder, name, seal=False)
    (folder / "a").write_bytes(pattern(size, seed=1))
    (folder / "b").write_bytes(pattern(size + 1))
    report = client.upload_folder(folder, name)
    assert [(failure.path, failure.code) for failure in report.failures] == [("a", "path_taken"), ("b", "path_taken")]
    assert report.sent_bytes == 0


def test_a_completed_batch_takes_nothing_more_and_says_so(client, tmp_path, name):
    folder = make_tree(tmp_path / "folder", some_files(3))
    client.upload_folder(folder, name)
    make_tree(folder, {"late": b"x"})
    with pytest.raises((errors.BatchCompleted, errors.BatchSealed)):
        client.upload_folder(folder, name)


def test_files_that_are_only_in_the_batch_are_in_the_receipt_too(client, tmp_path, name):
    one = make_tree(tmp_path / "one", {"a": b"1"})
    two = make_tree(tmp_path / "two", {"b": b"2"})
    client.upload_folder(one, name, seal=False)
    report = client.upload_folder(two, name)
    assert (report.stored, report.receipt.stored_count) == (1, 2)


def test_a_batch_is_not_sealed_while_somebody_elses_file_is_on_its_way(client, ann_api, tmp_path, name):
    folder = make_tree(tmp_path / "folder", {"a": b"1"})
    batch = client.create_batch(name)
    ann_api.open_session(5, batch_id=batch.id, path="theirs")
    report = client.upload_folder(folder, name)
    assert (report.complete, report.pending, report.receipt) == (True, ["theirs"], None)
    assert report.batch.sealed_at is None


def test_files_that_somebody_has_declared_are_sent_and_others_keep_the_batch_open(client, ann_api, tmp_path, name):
    files = {"small": b"1", "large": pattern(9 * MIB)}
    batch = client.create_batch(name)
    declared = [{"path": path, "total_size_bytes": len(data)} for path, data in (files | {"theirs": b"x"}).items()]
    expect(200, ann_api.post(f"/batches/{batch.id}/files", {"files": declared}))
    report = client.upload_folder(make_tree(tmp_path / "folder", files), name)
    assert (report.complete, report.stored, report.pending) == (True, 2, ["theirs"])
    assert stored_files(ann_api, batch.id) == digests(files)


def test_a_batch_that_was_cancelled_is_not_gone_on_with(client, tmp_path, name):
    folder = make_tree(tmp_path / "folder", {"a": b"1"})
    first = client.upload_folder(folder, name, seal=False).batch
    client.cancel(first.id)
    report = client.upload_folder(folder, name)
    assert report.complete
    assert report.batch.id != first.id


# Going on


def test_parts_that_have_arrived_are_not_sent_again(client, ann_api, tmp_path, name):
    data = pattern(3 * 8 * MIB + 1)
    folder = make_tree(tmp_path / "folder", {"large": data})
    batch = client.create_batch(name)
    sha256 = digests({"large": data})["large"]
    session = client.open_session(
        "large", len(data), batch_id=batch.id, path="large", sha256=sha256, metadata={"sha256": sha256}
    )
    for number in (2, 4):
        start = (number - 1) * session.chunk_size_bytes
        part = data[start : start + session.chunk_size_bytes]
        expect(200, ann_api.put(f"/uploads/sessions/{session.session_id}/parts/{number}", part))
    report = client.upload_folder(folder, name)
    assert report.complete
    assert report.sent_bytes == 2 * 8 * MIB
    assert client.file_at(batch.id, "large").session_id == session.session_id


@pytest.mark.parametrize("members", [{}, {"sha256": "0" * 64}], ids=["of another client", "of other bytes"])
def test_parts_of_unknown_or_other_bytes_are_given_up(client, ann_api, tmp_path, name, members):
    data = pattern(9 * MIB)
    folder = make_tree(tmp_path / "folder", {"large": data})
    batch = client.create_batch(name)
    session = ann_api.open_session(
        len(data), batch_id=batch.id, path="large", chunk_size_bytes=8 * MIB, metadata=members
    )
    expect(200, ann_api.put_part(session, 2, pattern(MIB, seed=9)))
    report = client.upload_folder(folder, name)
    assert report.complete
    assert stored_files(ann_api, batch.id) == digests({"large": data})


def test_a_small_file_that_somebody_began_in_parts_is_taken_over(client, ann_api, tmp_path, name):
    folder = make_tree(tmp_path / "folder", {"small": b"mine"})
    batch = client.create_batch(name)
    ann_api.open_session(9, batch_id=batch.id, path="small")
    report = client.upload_folder(folder, name)
    assert report.complete
    assert stored_files(ann_api, batch.id) == digests({"small": b"mine"})


def test_a_session_that_ends_under_the_upload_is_begun_anew(client, ann_api, tmp_path, name, monkeypatch):
    data = pattern(3 * 8 * MIB)
    folder = make_tree(tmp_path / "folder", {"large": data})
    put_part, aborted = client.put_part, []

    def abort_first(session_id, number, piece, **options):
        if not aborted:
            aborted.append(session_id)
            expect(204, ann_api.delete(f"/uploads/sessions/{session_id}"))
        return put_part(session_id, number, piece, **options)

    monkeypatch.setattr(client, "put_part", abort_first)
    report = client.upload_folder(folder, name)
    assert report.complete
    assert client.session(aborted[0]).status == "ABORTED"
    assert stored_files(ann_api, report.batch.id) == digests({"large": data})


def test_a_file_that_changes_under_the_upload_fails_and_the_next_run_has_it(
    client, ann_api, tmp_path, name, monkeypatch
):
    folder = make_tree(tmp_path / "folder", {"large": pattern(17 * MIB), "b": b"b"})
    open_session = client.open_session

    def change_then_open(*arguments, **options):
        (folder / "large").write_bytes(pattern(17 * MIB, seed=1))
        monkeypatch.undo()
        return open_session(*arguments, **options)

    monkeypatch.setattr(client, "open_session", change_then_open)
    report = client.upload_folder(folder, name)
    assert [(failure.path, failure.code) for failure in report.failures] == [("large", "source_changed")]
    report = client.upload_folder(folder, name)
    assert report.complete
    assert stored_files(ann_api, report.batch.id)["large"] == digests({"": pattern(17 * MIB, seed=1)})[""]


def test_one_file_goes_into_a_batch_or_into_none(client, tmp_path, name):
    make_tree(tmp_path, {"a b": b"data", "empty": b""})
    file = client.upload_file(tmp_path / "a b")
    assert (file.original_filename, file.batch_id, file.status) == ("a b", None, "STORED")
    assert client.upload_file(tmp_path / "empty").size_bytes == 0
    file = client.upload_file(tmp_path / "a b", batch=name)
    assert (file.path, file.batch_id) == ("a b", client.find_batch(name).id)
    assert client.upload_file(tmp_path / "a b", batch=name).id == file.id


def test_a_file_is_known_by_size_and_both_times(tmp_path):
    (source,) = find_sources([make_tree(tmp_path, {"a": b"x"}) / "a"]).sources
    assert source.stamp == Stamp.of(os.stat(tmp_path / "a"))  # noqa: PTH116 - as the package does


def test_an_upload_that_is_called_off_goes_on_in_the_next_run(client, ann_api, tmp_path, name, monkeypatch):
    files = some_files(40)
    folder = make_tree(tmp_path / "folder", files)
    monkeypatch.setattr("portal_client.bundles.BUNDLE_FILES", 1)
    put_file, count = client.put_file, []

    def stop_at_ten(*arguments, **options):
        count.append(1)
        if len(count) == 10:
            client.stop()
        return put_file(*arguments, **options)

    monkeypatch.setattr(client, "put_file", stop_at_ten)
    with contextlib.suppress(errors.Stopped):
        client.upload_folder(folder, name)
    monkeypatch.undo()
    client.transport.stop.clear()
    report = client.upload_folder(folder, name)
    assert report.complete
    assert 1 <= report.already < 40
    assert stored_files(ann_api, report.batch.id) == digests(files)


# Known bytes


@pytest.fixture
def settled(monkeypatch):
    """Files are as if they had been written long ago: their digests are remembered."""
    monkeypatch.setattr("portal_client.digests.RACY_SECONDS", -60)


@pytest.mark.usefixtures("settled")
def test_what_the_portal_has_of_ones_own_is_not_sent_again(client, ann_api, tmp_path, name, requests_made):
    files = some_files(20) | LARGE
    folder = make_tree(tmp_path / "folder", files)
    client.upload_folder(folder, name)
    make_tree(folder, {"new": b"new"})
    requests_made.clear()
    report = client.upload_folder(folder, f"{name} again")
    assert report.complete
    assert (report.stored, report.known, report.already, report.sent_bytes) == (24, 23, 0, 3)
    assert stored_files(ann_api, report.batch.id) == digests(files | {"new": b"new"})
    assert report.receipt.stored_count == 24
    assert [method for method, url in requests_made].count("PUT") == 1
    assert len(requests_made) <= 9


@pytest.mark.usefixtures("settled")
def test_of_somebody_elses_bytes_one_lot_is_asked_for_and_all_is_sent(client, bob_api, tmp_path, name, monkeypatch):
    files = {f"f{number}": pattern(100, seed=number) for number in range(7)}
    folder = make_tree(tmp_path / "folder", files)
    client.upload_folder(folder, name)
    bob = PortalClient(bob_api.url, bob_api.token, cache=client.cache)
    lots = declared_lots(bob, monkeypatch, most=3)
    report = bob.upload_folder(folder, name)
    assert lots == [3]
    assert (report.complete, report.known, report.stored, report.sent_bytes) == (True, 0, 7, 700)
    assert stored_files(bob_api, report.batch.id) == digests(files)


def declared_lots(client, monkeypatch, *, most):
    """Let so many files be declared at once; return the sizes of the lots that will be."""
    lots, declare, limits = [], client.declare, replace(client.limits(), max_bulk_files=most)

    def counted(batch_id, entries):
        lots.append(len(entries))
        return declare(batch_id, entries)

    monkeypatch.setattr(client, "declare", counted)
    monkeypatch.setattr(client, "limits", lambda: limits)
    return lots


@pytest.mark.usefixtures("settled")
def test_many_are_declared_in_lots(client, ann_api, tmp_path, name, monkeypatch):
    files = {f"f{number}": pattern(100, seed=number) for number in range(7)}
    folder = make_tree(tmp_path / "folder", files)
    client.upload_folder(folder, name)
    lots = declared_lots(client, monkeypatch, most=3)
    report = client.upload_folder(folder, f"{name} again")
    assert lots == [3, 3, 1]
    assert (report.known, report.sent_bytes) == (7, 0)
    assert stored_files(ann_api, report.batch.id) == digests(files)


@pytest.mark.usefixtures("settled")
def test_a_file_that_was_changed_since_is_not_declared_by_its_old_digest(client, ann_api, tmp_path, name):
    folder = make_tree(tmp_path / "folder", {"a": b"old", "b": b"same"})
    client.upload_folder(folder, name)
    (folder / "a").write_bytes(b"new")
    report = client.upload_folder(folder, f"{name} again")
    assert (report.known, report.sent_bytes) == (1, 3)
    assert stored_files(ann_api, report.batch.id) == digests({"a": b"new", "b": b"same"})


def test_a_file_that_was_declared_with_other_bytes_fails_alone(client, ann_api, tmp_path, name):
    batch = client.create_batch(name)
    assert [result["action"] for result in client.declare(batch.id, [("a", 3, "0" * 64)])] == ["upload"]
    report = client.upload_folder(make_tree(tmp_path / "folder", {"a": b"new", "b": b"1"}), name)
    assert [(failure.path, failure.code) for failure in report.failures] == [("a", "path_taken")]
    assert stored_files(ann_api, batch.id) == digests({"b": b"1"})


@pytest.mark.usefixtures("settled")
def test_what_keeps_files_from_being_declared_is_told_when_they_are_sent(client, ann_api, tmp_path, name, monkeypatch):
    folder = make_tree(tmp_path / "folder", {"a": b"1"})
    client.upload_folder(folder, name)

    def refuse(*_):
        raise errors.Invalid(400, "invalid", "No.", {})

    monkeypatch.setattr(client, "declare", refuse)
    report = client.upload_folder(folder, f"{name} again")
    assert (report.complete, report.known, report.sent_bytes) == (True, 0, 1)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("closed", [errors.BatchSealed, errors.BatchCompleted])
def test_a_batch_that_closes_meanwhile_ends_the_run(client, tmp_path, name, monkeypatch, closed):
    folder = make_tree(tmp_path / "folder", {"a": b"1"})
    client.upload_folder(folder, name)

    def refuse(*_):
        raise closed(409, closed.code, "No.", {})

    monkeypatch.setattr(client, "declare", refuse)
    with pytest.raises(closed):
        client.upload_folder(folder, f"{name} again")

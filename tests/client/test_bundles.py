"""Small files go many in one request, and one by one where a portal, or a file, will not have it."""

import io
import secrets
import tarfile

import pytest

from portal_client import PortalClient, bundles
from portal_client.bodies import Stamp
from portal_client.bundles import BUNDLE_BYTES, BUNDLE_FILES, BUNDLED_BYTES, Archive, make_bundles, write_member
from portal_client.errors import ApiError
from portal_client.sources import Source
from tests.client.test_upload_folder import make_unreadable
from tests.client.trees import digests, make_tree, some_files, stored_files

LONG = "/".join(["folder with a long name" * 3] * 6) + "/ü"


@pytest.fixture
def name():
    return f"batch {secrets.token_hex(4)}"


@pytest.fixture
def singles(client, monkeypatch):
    """The paths that are sent by themselves."""
    sent, put_file = [], client.put_file

    def recorded(batch_id, path, body, **options):
        sent.append(path)
        return put_file(batch_id, path, body, **options)

    monkeypatch.setattr(client, "put_file", recorded)
    return sent


def source(path, size):
    return Source(path, f"/{path}", Stamp(size, 0, 0))


def test_bundles_are_bounded_and_leave_nothing_out():
    sizes = [10] * (BUNDLE_FILES + 5) + [BUNDLED_BYTES + 1] + [BUNDLED_BYTES] * 20
    sources = [source(str(number), size) for number, size in enumerate(sizes)]
    made = list(make_bundles(sources))
    assert sorted((one for bundle in made for one in bundle), key=lambda one: int(one.path)) == sources
    assert max(map(len, made)) <= BUNDLE_FILES
    assert all(len(bundle) == 1 or sum(one.size for one in bundle) <= BUNDLE_BYTES for bundle in made)
    assert [sources[BUNDLE_FILES + 5]] in made
    assert list(make_bundles([])) == []


def test_the_archive_is_one_that_others_read():
    members = {"a": b"1", "-rf": b"", LONG: b"x" * 513, "日本/e\u0301": b"2" * 512}
    archive = b"".join(Archive([write_member(path, data) for path, data in members.items()]).blocks())
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        assert {one.name: opened.extractfile(one).read() for one in opened} == members


def test_small_files_go_together(client, ann_api, tmp_path, name, singles):
    files = some_files(BUNDLE_FILES + 7) | {LONG: b"long"}
    report = client.upload_folder(make_tree(tmp_path / "folder", files), name)
    assert report.complete
    assert singles == []
    assert report.sent_bytes == report.size
    assert stored_files(ann_api, report.batch.id) == digests(files)


@pytest.mark.parametrize("status", [404, 405, 415])
def test_a_portal_without_bundles_is_asked_once(client, ann_api, tmp_path, name, singles, monkeypatch, status):
    monkeypatch.setattr(bundles, "BUNDLE_FILES", 5)
    asked = []

    def refuse(*_):
        asked.append(1)
        raise ApiError(status, "unsupported_media_type", "Not known.", {})

    monkeypatch.setattr(client, "put_bundle", refuse)
    files = some_files(11)
    report = client.upload_folder(make_tree(tmp_path / "folder", files), name, parallel=1)
    assert report.complete
    assert len(asked) == 1
    assert sorted(singles) == sorted(files)
    assert stored_files(ann_api, report.batch.id) == digests(files)


def test_a_member_that_is_refused_is_sent_by_itself_for_an_answer_of_its_own(client, tmp_path, name, singles, ann_api):
    folder = make_tree(tmp_path / "folder", {"a": b"1", "b": b"2", "c": b"3"})
    put_bundle = client.put_bundle

    def somebody_is_faster(batch_id, archive):
        ann_api.put(f"/batches/{batch_id}/files/b", b"other")
        return put_bundle(batch_id, archive)

    client.put_bundle = somebody_is_faster
    report = client.upload_folder(folder, name)
    assert [(failure.path, failure.code) for failure in report.failures] == [("b", "path_taken")]
    assert report.stored == 2
    assert singles == ["b"]


def test_bytes_that_were_damaged_on_their_way_are_removed_and_sent_again(client, ann_api, tmp_path, name, singles):
    files = {"a": b"right", "b": b"2"}
    put_bundle = client.put_bundle

    def damage(batch_id, archive):
        archive.data = archive.data.replace(b"right", b"wrong")
        return put_bundle(batch_id, archive)

    client.put_bundle = damage
    report = client.upload_folder(make_tree(tmp_path / "folder", files), name)
    assert report.complete
    assert singles == ["a"]
    assert stored_files(ann_api, report.batch.id) == digests(files)


def test_without_the_scope_to_delete_bytes_that_were_damaged_fail_their_file_alone(
    portal_server, tmp_path, name, monkeypatch
):
    token = portal_server.create_token("ann", "--scope", "upload", "--scope", "read")
    client = PortalClient(portal_server.url, token, cache=False)
    put_bundle = client.put_bundle

    def damage(batch_id, archive):
        archive.data = archive.data.replace(b"right", b"wrong")
        return put_bundle(batch_id, archive)

    monkeypatch.setattr(client, "put_bundle", damage)
    report = client.upload_folder(make_tree(tmp_path / "folder", {"a": b"right", "b": b"2"}), name)
    assert [(failure.path, failure.code) for failure in report.failures] == [("a", "corrupt")]
    assert (report.stored, report.receipt) == (1, None)


def test_one_that_cannot_be_read_holds_up_none_of_its_bundle(client, tmp_path, name, monkeypatch):
    folder = make_tree(tmp_path / "folder", {"a": b"1", "locked": b"2", "z": b"3"})
    make_unreadable(monkeypatch, folder / "locked")
    report = client.upload_folder(folder, name)
    assert [(failure.path, failure.code) for failure in report.failures] == [("locked", "unreadable")]
    assert report.stored == 2

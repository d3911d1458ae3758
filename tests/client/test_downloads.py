"""A batch into a folder: every byte checked, nothing overwritten, nothing outside, gone on with where it broke off."""

import errno
import secrets
import time
from dataclasses import replace

import pytest
from urllib3.exceptions import ProtocolError

from portal_client import Corrupt, PortalError, Unreachable
from portal_client.answers import make_error
from portal_client.downloads import Download
from portal_client.landing import make_place
from portal_client.members import File
from tests.client.trees import digests, make_tree, some_files
from tests.samples import pattern

MIB = 2**20
FILES = some_files(12) | {"sub/large.bin": pattern(3 * MIB), "empty": b""}


@pytest.fixture
def name(client, tmp_path):
    """A batch of these files, to which more may come."""
    name = f"batch {secrets.token_hex(4)}"
    client.upload_folder(make_tree(tmp_path / "folder", FILES), name, seal=False)
    return name


def contents(folder):
    """Return paths and bytes of all files below `folder`, hidden ones too."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_all_comes_back_and_a_second_run_fetches_nothing(client, name, tmp_path):
    report = client.download_batch(name, tmp_path / "copy")
    assert (report.files, report.fetched, report.failures) == (len(FILES), len(FILES), [])
    assert report.fetched_bytes == sum(map(len, FILES.values()))
    assert contents(tmp_path / "copy") == FILES
    again = client.download_batch(name, tmp_path / "copy")
    assert (again.fetched, again.already, again.fetched_bytes) == (0, len(FILES), 0)


def test_it_goes_on_where_the_line_broke_off(client, name, tmp_path, monkeypatch):
    opened, ranges = client.transport.open, []

    def break_off(path, headers):
        response = opened(path, headers)
        ranges.append(headers.get("Range"))
        stream = response.stream

        def some(size, **options):
            for number, block in enumerate(stream(size, **options)):
                if number == 2:
                    raise ProtocolError("it broke off")
                yield block

        response.stream = some
        return response

    monkeypatch.setattr(client.transport, "open", break_off)
    report = client.download_batch(name, tmp_path / "copy")
    assert contents(tmp_path / "copy") == FILES
    assert report.fetched_bytes == sum(map(len, FILES.values()))
    assert f"bytes={2 * 256 * 2**10}-" in ranges


def test_what_an_earlier_run_left_is_gone_on_with(client, name, tmp_path):
    batch = client.find_batch(name)
    large = client.file_at(batch.id, "sub/large.bin")
    make_tree(tmp_path / "copy", {f"sub/.portal-{large.id}.part": FILES["sub/large.bin"][:MIB]})
    report = client.download_batch(name, tmp_path / "copy")
    assert contents(tmp_path / "copy") == FILES
    assert report.fetched_bytes == sum(map(len, FILES.values())) - MIB


def test_wrong_bytes_that_were_left_are_found_out_and_the_next_run_mends_it(client, name, tmp_path):
    large = client.file_at(client.find_batch(name).id, "sub/large.bin")
    make_tree(tmp_path / "copy", {f"sub/.portal-{large.id}.part": b"wrong"})
    report = client.download_batch(name, tmp_path / "copy")
    assert [(failure.path, failure.code) for failure in report.failures] == [("sub/large.bin", "corrupt")]
    assert not (tmp_path / "copy/sub/large.bin").exists()
    assert client.download_batch(name, tmp_path / "copy").failures == []
    assert contents(tmp_path / "copy") == FILES


def test_another_file_of_that_name_is_left_as_it_is(client, name, tmp_path):
    make_tree(tmp_path / "copy", {"sub/large.bin": b"precious"})
    report = client.download_batch(name, tmp_path / "copy")
    assert [failure.path for failure in report.failures] == ["sub/large.bin"]
    assert (tmp_path / "copy/sub/large.bin").read_bytes() == b"precious"
    assert report.fetched == len(FILES) - 1


def test_a_link_that_leads_out_of_the_folder_is_not_followed(client, name, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "sub").symlink_to(tmp_path / "outside")
    report = client.download_batch(name, tmp_path / "copy")
    assert [failure.path for failure in report.failures] == ["sub/large.bin"]
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../out", "a\x00b", "a\\b", ""])
def test_names_that_lead_out_of_the_folder_are_refused_whatever_the_portal_says(tmp_path, path):
    with pytest.raises(Corrupt):
        make_place(tmp_path / "copy", path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        Unreachable("No answer."),
        make_error(401, {"code": "not_authenticated", "detail": "The token has expired."}, {}),
        make_error(403, {"code": "insufficient_scope", "detail": "Not with this token."}, {}),
    ],
    ids=lambda error: getattr(error, "code", error.args[-1]),
)
def test_what_no_file_survives_ends_the_run(client, name, tmp_path, monkeypatch, error):
    asked = []

    def fail(*_):
        asked.append(1)
        raise error

    monkeypatch.setattr(Download, "_receive", fail)
    with pytest.raises(PortalError, match=error.strerror if isinstance(error, OSError) else str(error.args[-1])):
        client.download_batch(name, tmp_path / "copy")
    assert len(asked) <= client.parallel


def test_a_place_that_one_file_cannot_have_is_no_reason_to_stop(client, name, tmp_path):
    make_tree(tmp_path / "copy", {"sub": b"a file where the folder should be"})
    report = client.download_batch(name, tmp_path / "copy")
    assert [(failure.path, failure.code) for failure in report.failures] == [("sub/large.bin", "unwritable")]
    assert report.fetched == len(FILES) - 1


def listed_with(monkeypatch, client, **members):
    """Have the portal list every file with other members than it has."""
    files = client.files
    monkeypatch.setattr(
        client, "files", lambda *given, **named: (replace(f, **members) for f in files(*given, **named))
    )


@pytest.mark.parametrize("file_id", ["x/../../outside/victim", "../outside/victim", "", "{0}", 5, None])
def test_an_id_that_is_none_leads_nowhere(client, name, tmp_path, monkeypatch, file_id):
    make_tree(tmp_path, {"outside/victim.part": b"precious", "copy/sub/.portal-x/in the way": b""})
    before = contents(tmp_path)
    listed_with(monkeypatch, client, id=file_id)
    report = client.download_batch(name, tmp_path / "copy")
    assert {failure.code for failure in report.failures} == {"corrupt"}
    assert (len(report.failures), report.fetched_bytes) == (len(FILES), 0)
    assert contents(tmp_path) == before


def test_behind_a_link_that_leads_out_no_folder_is_made(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/lnk").symlink_to(tmp_path / "outside")
    (tmp_path / "copy/nowhere").symlink_to(tmp_path / "outside/not there")
    for path in ("lnk/in/file", "nowhere/in/file"):
        with pytest.raises(Corrupt):
            make_place(tmp_path / "copy", path)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.fixture
def large(client, name, monkeypatch):
    """The large file, the only one that the portal lists from now on."""
    (large,) = [file for file in client.files(client.find_batch(name).id) if file.path == "sub/large.bin"]
    monkeypatch.setattr(client, "files", lambda *_, **__: iter([large]))
    return large


@pytest.mark.parametrize(("size", "blocks"), [(4, 1), (MIB, 5), (MIB + 4, 5)])
def test_more_than_was_declared_is_neither_read_on_nor_written(client, large, tmp_path, monkeypatch, size, blocks):
    monkeypatch.setattr(client, "files", lambda *_, **__: iter([replace(large, size_bytes=size)]))
    opened, read = client.transport.open, []

    def counted(path, headers):
        response = opened(path, headers)
        stream = response.stream
        response.stream = lambda *given, **named: (read.append(block) or block for block in stream(*given, **named))
        return response

    monkeypatch.setattr(client.transport, "open", counted)
    report = client.download_batch(large.batch_id, tmp_path / "copy")
    assert [failure.detail for failure in report.failures] == [f"More came than its {size:,} bytes."]
    assert report.fetched_bytes <= size
    assert len(read) == blocks
    assert contents(tmp_path / "copy") == {}


@pytest.mark.parametrize("have", [0, MIB])
def test_answers_without_a_byte_are_tried_again_as_those_that_break_off(client, large, tmp_path, monkeypatch, have):
    make_tree(tmp_path / "copy", {f"sub/.portal-{large.id}.part": FILES["sub/large.bin"][:have]})
    opened, asked, began = client.transport.open, [], time.monotonic()

    def empty(path, headers):
        asked.append(headers.get("Range"))
        if time.monotonic() > began + 5:
            pytest.fail("it asks for ever")
        response = opened(path, headers)
        response.stream = lambda *_, **__: iter(())
        return response

    monkeypatch.setattr(client.transport, "open", empty)
    client.transport.patience = 1.0
    with pytest.raises(Unreachable, match=r"ended [\d,]+ bytes early"):
        client.download_batch(large.batch_id, tmp_path / "copy")
    assert 1 < len(asked) < 20
    assert set(asked) == {f"bytes={have}-" if have else None}


def test_what_the_batch_has_not_stored_is_counted(client, name, ann_api, tmp_path):
    batch = client.find_batch(name)
    assert client.download_batch(name, tmp_path / "copy").complete
    ann_api.post(f"/batches/{batch.id}/files", {"files": [{"path": "declared", "total_size_bytes": 1}]})
    ann_api.open_session(5, batch_id=batch.id, path="on its way")
    client.abort(ann_api.open_session(5, batch_id=batch.id, path="given up")["session_id"])
    report = client.download_batch(name, tmp_path / "copy")
    assert (report.already, report.pending, report.failed, report.complete) == (len(FILES), 2, 1, False)


def test_what_is_stored_after_the_list_was_read_is_not_here_yet(client, name, tmp_path, monkeypatch):
    files = client.files

    def listed(*given, **named):
        yield from list(files(*given, **named))
        client.upload_file(make_tree(tmp_path, {"late": b"late"}) / "late", name)

    monkeypatch.setattr(client, "files", listed)
    report = client.download_batch(name, tmp_path / "copy")
    assert (report.pending, report.failed, report.complete) == (1, 0, False)


def test_a_list_that_breaks_off_is_no_success(client, name, tmp_path, monkeypatch):
    files = client.files

    def some(*arguments, **options):
        yield next(files(*arguments, **options))
        raise Unreachable("No answer.")

    monkeypatch.setattr(client, "files", some)
    with pytest.raises(Unreachable):
        client.download_batch(name, tmp_path / "copy")


def test_files_without_a_path_are_called_as_in_the_receipt(client, ann_api, tmp_path):
    batch = client.create_batch(secrets.token_hex(8))
    file = File.read(ann_api.store(b"x", batch_id=batch.id, original_filename="a/b"))
    client.download_batch(batch.id, tmp_path / "copy")
    client.seal(batch.id)
    assert contents(tmp_path / "copy") == {f"{file.id}/a_b": b"x"}
    assert client.verify_folder(tmp_path / "copy", batch.id).equal
    assert digests({file.listed_as: b"x"})[file.listed_as] == file.sha256

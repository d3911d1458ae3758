"""Where downloads land: one writer for each file, nothing overwritten, with hard links and without, folders told."""

import errno
import os
import secrets
from pathlib import Path

import pytest

from portal_client import PortalClient, PortalError, landing
from portal_client.downloads import Download
from tests.client.trees import make_tree
from tests.samples import pattern

MIB = 2**20
FILES = {"a": b"a", "b": b"b", "sub/large": pattern(2 * MIB)}
BUSY = ("sub/large", "unwritable", "Another download is writing it.")


@pytest.fixture
def name(client, tmp_path):
    """A batch of these files, to which more may come."""
    name = f"batch {secrets.token_hex(4)}"
    client.upload_folder(make_tree(tmp_path / "folder", FILES), name, seal=False)
    return name


@pytest.fixture
def large(client, name):
    """The large one of them."""
    return client.file_at(client.find_batch(name).id, "sub/large")


@pytest.fixture
def copy(tmp_path):
    """Where they go."""
    return tmp_path / "copy"


def contents(folder):
    """Return paths and bytes of all files below `folder`, hidden ones too."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def failing(number):
    """Return a function that raises the OSError of this number."""

    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


def told(report):
    """Return the failures of a download."""
    return [(failure.path, failure.code, failure.detail) for failure in report.failures]


def while_receiving(monkeypatch, large, act):
    """Call `act` once some bytes of the large file have come, and have all of the others first."""
    blocks = Download._blocks

    def acting(download, file, have):
        for number, block in enumerate(blocks(download, file, have)):
            yield block
            if file.id == large.id and number == 0 and acts:
                acts.pop()()

    acts = [act]
    monkeypatch.setattr(Download, "_blocks", acting)


def test_two_downloads_into_one_folder_do_not_write_into_one_another(client, name, large, copy, ann_api, monkeypatch):
    reports = []
    while_receiving(monkeypatch, large, lambda: reports.append(client.download_batch(name, copy)))
    # One at a time, so that the other is at nothing but the large one.
    first = PortalClient(client.transport.url, ann_api.token, parallel=1, cache=False).download_batch(name, copy)
    assert told(first) == []
    assert told(reports[0]) == [BUSY]
    assert reports[0].fetched + reports[0].already == len(FILES) - 1
    assert contents(copy) == FILES


def test_a_file_that_another_has_just_put_in_its_place_is_not_begun_again(client, name, large, copy, monkeypatch):
    part, flock = copy / f"sub/.portal-{large.id}.part", landing.fcntl.flock

    def late(opened, how):
        if Path(opened.name) == part:
            part.unlink()
        return flock(opened, how)

    monkeypatch.setattr(landing.fcntl, "flock", late)
    assert told(client.download_batch(name, copy)) == [BUSY]
    assert contents(copy) == {path: data for path, data in FILES.items() if path != "sub/large"}


def test_a_file_that_another_has_just_made_whole_is_there(client, name, large, copy, monkeypatch):
    part, flock = copy / f"sub/.portal-{large.id}.part", landing.fcntl.flock

    def late(opened, how):
        if Path(opened.name) == part:
            part.write_bytes(FILES["sub/large"])
            part.rename(copy / "sub/large")
        return flock(opened, how)

    monkeypatch.setattr(landing.fcntl, "flock", late)
    report = client.download_batch(name, copy)
    assert (told(report), report.already) == ([], 1)
    assert contents(copy) == FILES


def test_what_a_run_left_that_died_at_the_very_end_goes(client, name, large, copy):
    client.download_batch(name, copy)
    part = copy / f"sub/.portal-{large.id}.part"
    part.hardlink_to(copy / "sub/large")
    assert client.download_batch(name, copy).already == len(FILES)
    assert contents(copy) == FILES


@pytest.mark.parametrize("why", ["no fcntl", "no locks"])
def test_without_locks_it_goes_all_the_same_and_a_second_writer_is_found_out(
    client, name, large, copy, monkeypatch, why
):
    if why == "no fcntl":
        monkeypatch.setattr(landing, "fcntl", None)
    else:
        monkeypatch.setattr(landing.fcntl, "flock", failing(errno.ENOLCK))
    part = copy / f"sub/.portal-{large.id}.part"

    def write_too():
        with part.open("ab") as opened:
            opened.write(b"of another download")

    while_receiving(monkeypatch, large, write_too)
    assert [path for path, _, _ in told(client.download_batch(name, copy))] == ["sub/large"]
    assert not part.exists()
    assert told(client.download_batch(name, copy)) == []
    assert contents(copy) == FILES


@pytest.mark.parametrize("data", [FILES["sub/large"], b"precious"], ids=["the same", "another"])
@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_came_there_meanwhile_is_never_overwritten(client, name, large, copy, monkeypatch, data, links):
    if not links:
        monkeypatch.setattr(landing.os, "link", failing(errno.EPERM))
    while_receiving(monkeypatch, large, lambda: make_tree(copy, {"sub/large": data}))
    report = client.download_batch(name, copy)
    assert [path for path, _, _ in told(report)] == (["sub/large"] if data == b"precious" else [])
    assert (copy / "sub/large").read_bytes() == data


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK])
def test_where_there_are_no_hard_links_files_are_renamed(client, name, copy, monkeypatch, number):
    monkeypatch.setattr(landing.os, "link", failing(number))
    assert told(client.download_batch(name, copy)) == []
    assert contents(copy) == FILES


@pytest.mark.parametrize("data", [b"a", b"other"], ids=["the same", "other"])
def test_a_folder_in_the_place_of_a_file_is_no_such_file(client, name, copy, data):
    make_tree(copy, {"a/whatever": data})
    report = client.download_batch(name, copy)
    assert told(report) == [("a", "corrupt", "A folder is in its place; it was left as it is.")]
    assert contents(copy) == {"a/whatever": data, "b": b"b", "sub/large": FILES["sub/large"]}


def test_neither_is_a_pipe_nor_a_link_that_leads_nowhere(client, name, copy):
    copy.mkdir()
    os.mkfifo(copy / "a")
    (copy / "b").symlink_to("nowhere")
    report = client.download_batch(name, copy)
    assert [path for path, _, _ in told(report)] == ["a", "b"]
    assert sorted(copy.iterdir()) == [copy / "a", copy / "b", copy / "sub"]


def test_a_folder_is_not_uploaded_as_one_file(client, name, tmp_path):
    folder = make_tree(tmp_path / "one", {"only": b"x"})
    with pytest.raises(PortalError, match="is not a file that can be taken"):
        client.upload_file(folder, name)
    assert client.file_at(client.find_batch(name).id, "only") is None


def test_a_file_in_the_place_of_the_folder_is_told_in_a_line(client, name, tmp_path):
    for into in (tmp_path / "file", tmp_path / "file/below"):
        make_tree(tmp_path, {"file": b""})
        with pytest.raises(PortalError, match="No folder can be made at"):
            client.download_batch(name, into)

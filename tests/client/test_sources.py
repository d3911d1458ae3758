"""Which local files are handed over, and how they are called."""

import os

import pytest

from portal_client import PortalError
from portal_client.sources import find_sources

ODD_NAMES = ["a b", "-rf", "--help", "ü", "日本", "e\u0301", "#?&=%41", "$(id)", "'\"", "~", ".hidden", " ", "a:b"]
#: Not printable, and no control characters.
ODD_NAMES += ["\u200b", "\xa0"]
BAD_NAMES = [b"new\nline", b"tab\t", b"back\\slash", b"bell\x07", b"not-utf8-\xff"]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "folder"
    place.mkdir()
    return place


def paths(found):
    return [source.path for source in found.sources]


def test_odd_names_are_taken_as_they_are_bytewise_sorted(folder):
    for name in ODD_NAMES:
        (folder / name).write_bytes(b"x")
    assert paths(find_sources([folder])) == sorted(ODD_NAMES, key=str.encode)


@pytest.mark.parametrize("name", BAD_NAMES, ids=range(len(BAD_NAMES)))
def test_names_that_no_portal_takes_are_failures_that_can_be_printed(folder, name):
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118 - it is bytes
        file.write(b"x")
    found = find_sources([folder])
    assert paths(found) == []
    (failure,) = found.failures
    assert failure.code == "bad_name"
    assert failure.path.isprintable()


def test_a_path_that_is_too_long_is_a_failure(folder):
    deep = folder.joinpath(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    (deep / ("f" * 19)).write_bytes(b"x")
    (deep / ("f" * 20)).write_bytes(b"x")
    found = find_sources([folder])
    assert [len(path) for path in paths(found)] == [1024]
    assert [failure.code for failure in found.failures] == ["bad_name"]


def test_one_folder_is_its_contents_several_keep_their_names(folder, tmp_path):
    (folder / "sub").mkdir()
    (folder / "sub" / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"2")
    assert paths(find_sources([folder])) == ["sub/one"]
    assert paths(find_sources([folder, tmp_path / "two"])) == ["folder/sub/one", "two"]
    assert paths(find_sources([tmp_path / "two"])) == ["two"]


def test_two_files_of_one_path_are_refused(folder, tmp_path):
    (tmp_path / "other").mkdir()
    for place in (folder, tmp_path / "other"):
        (place / "same").write_bytes(b"x")
    with pytest.raises(PortalError, match="would both be same"):
        find_sources([folder / "same", tmp_path / "other" / "same"])


def test_what_is_not_there_is_said(folder):
    with pytest.raises(PortalError, match="There is no"):
        find_sources([folder / "nothing"])


def test_links_and_devices_are_counted_and_passed_over(folder):
    (folder / "real").write_bytes(b"x")
    (folder / "link").symlink_to("real")
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "pipe")
    found = find_sources([folder])
    assert (paths(found), found.links, found.devices) == (["real"], 2, 1)


def test_links_are_followed_when_asked_for_but_never_in_circles(folder):
    (folder / "real").write_bytes(b"x")
    (folder / "link").symlink_to("real")
    (folder / "loop").symlink_to(".")
    (folder / "broken").symlink_to("nowhere")
    found = find_sources([folder], follow_links=True)
    assert paths(found) == ["link", "real"]
    assert [(failure.path, failure.code) for failure in found.failures] == [("broken", "unreadable")]

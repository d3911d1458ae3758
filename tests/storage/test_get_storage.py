from types import SimpleNamespace

import pytest

from portal import storage as package
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage, get_storages


@pytest.fixture
def use_url(monkeypatch):
    def use(url, other=""):
        urls = SimpleNamespace(PORTAL_STORAGE_URL=url, PORTAL_STORAGE_OTHER_URL=other)
        monkeypatch.setattr(package, "settings", urls)

    return use


def test_a_file_url_gives_one_local_storage_in_its_folder(tmp_path, use_url):
    use_url(f"file://{tmp_path}/a folder, 100%20 #1?")
    assert get_storage() is get_storage()
    assert get_storage().backend == "local"
    assert (tmp_path / "a folder, 100%20 #1?" / "objects").is_dir()


def test_another_url_gives_another_storage(tmp_path, use_url):
    use_url(f"file://{tmp_path}/one")
    first = get_storage()
    use_url(f"file://{tmp_path}/two")
    assert get_storage() is not first


@pytest.mark.parametrize("url", ["", "file://", "file:///", "file://relative", "/srv/portal", "ftp://host/a"])
def test_a_url_that_is_not_known_is_refused(use_url, url):
    use_url(url)
    with pytest.raises(StorageMisconfigured, match="PORTAL_STORAGE_URL"):
        get_storage()


def test_files_may_be_in_a_storage_of_another_kind_besides(tmp_path, use_url, rclone):
    use_url(f"file://{tmp_path}/one", rclone.storage_url("bucket"))
    assert [storage.backend for storage in get_storages()] == ["local", "s3"]
    assert (get_storage(), get_storage("s3")) == tuple(get_storages())
    use_url(f"file://{tmp_path}/one")
    assert get_storage("local") is get_storage()
    with pytest.raises(StorageUnavailable, match="PORTAL_STORAGE_OTHER_URL"):
        get_storage("s3")


def test_two_storages_of_one_kind_are_refused(tmp_path, use_url):
    use_url(f"file://{tmp_path}/one", f"file://{tmp_path}/two")
    with pytest.raises(StorageMisconfigured, match="two kinds"):
        get_storage()


@pytest.mark.parametrize(
    "url",
    [
        *["s3://", "s3://ab/x", "s3://Bucket/x", "s3://bucket/x?endpoint=y", "s3://bucket/x#y"],
        "s3://k:s@bucket/x?k:s=1",
    ],
)
def test_an_s3_url_of_another_form_is_refused_without_repeating_it(use_url, url):
    use_url(url)
    with pytest.raises(StorageMisconfigured, match="s3://bucket/prefix") as caught:
        get_storage()
    assert "k:s" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://ab/x", "3 to 63"),
        ("s3://abc/x?endpoint=y", "options are endpoint_url, region"),
        ("s3://abc/x#y", "no such URL"),
    ],
)
def test_what_is_wrong_with_an_s3_url_is_said(use_url, url, words):
    use_url(url)
    with pytest.raises(StorageMisconfigured, match=words):
        get_storage()

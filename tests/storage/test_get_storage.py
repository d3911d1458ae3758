from types import SimpleNamespace

import pytest

from portal import storage as package
from portal.storage import StorageMisconfigured, get_storage


@pytest.fixture
def use_url(monkeypatch):
    return lambda url: monkeypatch.setattr(package, "settings", SimpleNamespace(PORTAL_STORAGE_URL=url))


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

import pytest
from botocore.loaders import JSONFileLoader

from portal.storage.s3_client import make_client


@pytest.mark.usefixtures("_s3_credentials")
def test_what_the_calls_of_s3_are_is_read_once_for_all_clients(monkeypatch):
    make_client("http://127.0.0.1:1")
    read, load = [], JSONFileLoader.load_file
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda self, path: read.append(path) or load(self, path))
    assert make_client("http://127.0.0.1:2") is not make_client("http://127.0.0.1:3", hasty=True)
    assert read == []

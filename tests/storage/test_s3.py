import pytest

from portal.storage.s3 import S3Storage
from tests.storage.contract import StorageContract


class TestRclone(StorageContract):
    replaces_parts = False

    @pytest.fixture
    def storage(self, rclone, clock):
        return S3Storage(rclone.storage_url(), clock=clock)


class TestMinistack(StorageContract):
    @pytest.fixture
    def storage(self, ministack, clock):
        return S3Storage(ministack.storage_url(), clock=clock)

"""What every backend does: a class of tests that each backend's own test file inherits."""

import pytest

from tests.storage.contract_files import FileRules
from tests.storage.contract_locks import LockRules
from tests.storage.contract_parts import PartRules
from tests.storage.samples import Clock


class StorageContract(PartRules, FileRules):
    """Inherit it, and give a fixture `storage` that uses the fixture `clock`."""

    @pytest.fixture
    def clock(self):
        return Clock()


class LockingContract(StorageContract, LockRules):
    """The same for a backend with locks."""

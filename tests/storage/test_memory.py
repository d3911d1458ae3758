import pytest

from portal.storage.base import NoSpace
from portal.storage.memory import MemoryStorage
from tests.storage.contract import LockingContract
from tests.storage.samples import new_staging, put, staged


class TestMemory(LockingContract):
    @pytest.fixture
    def storage(self, clock):
        return MemoryStorage(clock=clock)


def test_a_full_memory_says_so_and_takes_bytes_again_after_a_removal():
    storage = MemoryStorage(capacity=100)
    first, second = staged(storage, b"x" * 80), new_staging(storage)
    assert storage.free_bytes() == 20
    with pytest.raises(NoSpace):
        put(storage, second, b"y" * 21)
    storage.remove_staging(first)
    put(storage, second, b"y" * 21)


def test_the_trash_counts_age_from_the_move():
    now = [0]
    storage = MemoryStorage(clock=lambda: now[0])
    key = staged(storage)
    now[0] = 100
    storage.trash_staging(key)
    assert list(storage.old_keys("trash", older_than_seconds=50)) == []

"""What the races share: bytes on a real disk, threads that start at once, and dice that a failure tells the seed of."""

import sys

import pytest

from portal.storage.local import LocalStorage
from tests.races.racing import Race
from tests.rounds import make_dice, pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]

#: Python lets another thread run so often: far oftener than by itself (0.005), for more ways to interleave.
SWITCH_SECONDS = 0.0002


@pytest.fixture(autouse=True)
def _restless_threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def dice(request):
    """The random numbers of this test alone."""
    return make_dice(request.node.nodeid)


@pytest.fixture
def race(dice):
    """`race(first, second, …)` calls all at the same moment and returns what each returned or was refused with."""
    with Race(dice) as race:
        yield race


@pytest.fixture
def root(tmp_path):
    """The folder of the bytes."""
    return tmp_path / "storage"


@pytest.fixture
def storage(root):
    """Bytes on the disk, under the locks that the kernel gives."""
    return LocalStorage(root)

"""A walk that fails tells the seed of its dice."""

from tests.rounds import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]

"""A storage that fails the test when it is used inside a transaction: no storage while rows are locked."""

import functools

from django.db import connection

from portal.storage.base import Storage
from portal.storage.memory import MemoryStorage


def in_transaction():
    """Whether code under test has a transaction open; that of the test itself does not count."""
    return any(not block._from_testcase for block in connection.atomic_blocks)


def _outside(method):
    @functools.wraps(method)
    def checked(*args, **options):
        assert not in_transaction(), f"{method.__name__} was called inside a transaction"
        return method(*args, **options)

    return checked


class StrictStorage(MemoryStorage):
    """Bytes in memory, out of bounds for whoever holds a transaction."""


for _name in Storage.__abstractmethods__ - {"backend"}:
    setattr(StrictStorage, _name, _outside(getattr(MemoryStorage, _name)))

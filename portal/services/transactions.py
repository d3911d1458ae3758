"""Write transactions: one writer at a time per process on SQLite, plain `atomic` elsewhere."""

import threading
from contextlib import contextmanager

from django.db import connection, transaction

from portal.exceptions import DatabaseUnavailable

#: SQLite has one writer. Waiting here is fair and quiet; its busy handler polls, and starves the unlucky.
_sqlite_writer = threading.RLock()
LOCK_TIMEOUT_SECONDS = 20


@contextmanager
def write_transaction():
    """Run the block in one transaction; raises DatabaseUnavailable when SQLite's writer lock is not to be had.

    No storage and no network inside: a hot row may be locked until the commit.
    """
    if connection.vendor != "sqlite":
        with transaction.atomic():
            yield
        return
    if not _sqlite_writer.acquire(timeout=LOCK_TIMEOUT_SECONDS):
        raise DatabaseUnavailable
    try:
        with transaction.atomic():
            yield
    finally:
        _sqlite_writer.release()

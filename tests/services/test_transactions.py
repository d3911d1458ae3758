"""Write transactions: all or nothing, and one writer at a time in a process on SQLite."""

import contextlib
import threading

import pytest
from django.db import connection

from portal.exceptions import DatabaseUnavailable
from portal.models import UploadBatch
from portal.services import transactions
from portal.services.transactions import write_transaction
from tests.samples import make_batch

pytestmark = pytest.mark.django_db(transaction=True)


def make_and_fail(caller):
    """Make a batch in a transaction that fails."""
    with write_transaction():
        make_batch(caller)
        raise RuntimeError("fails")


def test_what_fails_leaves_nothing(ann):
    with pytest.raises(RuntimeError):
        make_and_fail(ann)
    assert not UploadBatch.objects.exists()
    with write_transaction():  # the writer's lock was given back
        make_batch(ann)
    assert UploadBatch.objects.count() == 1


def test_a_transaction_inside_another_is_part_of_it(ann):
    def outer():
        with write_transaction():
            with write_transaction():
                make_batch(ann)
            raise RuntimeError("fails")

    with pytest.raises(RuntimeError):
        outer()
    assert not UploadBatch.objects.exists()


def test_threads_that_write_at_once_all_get_their_turn(ann):
    start = threading.Barrier(8)
    failures = []

    def write():
        try:
            start.wait(10)
            for _ in range(5):
                make_batch(ann)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert UploadBatch.objects.count() == 40


def test_a_writer_that_is_not_let_in_says_so_and_only_sqlite_has_to_wait_for_another(ann, monkeypatch):
    monkeypatch.setattr(transactions, "LOCK_TIMEOUT_SECONDS", 0.01)
    holds, done = threading.Event(), threading.Event()

    def hold():
        with transactions._sqlite_writer:
            holds.set()
            done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    holds.wait(10)
    try:
        refusal = pytest.raises(DatabaseUnavailable) if connection.vendor == "sqlite" else contextlib.nullcontext()
        with refusal:
            make_batch(ann, name="meanwhile")
    finally:
        done.set()
        other.join()
    make_batch(ann, name="afterwards")
    made = ["afterwards"] if connection.vendor == "sqlite" else ["meanwhile", "afterwards"]
    assert list(UploadBatch.objects.order_by("id").values_list("name", flat=True)) == made

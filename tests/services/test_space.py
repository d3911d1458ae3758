"""Faults of the storage as services tell them: full, or not answering."""

import threading
from contextlib import ExitStack

import pytest

from portal import exceptions
from portal.services import space
from portal.services.space import refuse_when_full, storage_errors, storage_turn
from portal.storage import base
from tests.services.situations import failing


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (base.NoSpace("full"), exceptions.OutOfSpace),
        (base.StorageUnavailable("gone"), exceptions.StorageUnavailable),
    ],
)
def test_a_fault_is_told_by_our_name_for_it(fault, told):
    with pytest.raises(told) as raised, storage_errors():
        raise fault
    assert raised.value.__cause__ is fault
    assert raised.value.retry_after


@pytest.mark.parametrize("error", [FileNotFoundError("no"), base.RangeBusy("no"), ValueError("no")])
def test_what_is_no_fault_of_the_storage_passes_as_it_is(error):
    with pytest.raises(type(error)) as raised, storage_errors():
        raise error
    assert raised.value is error


@pytest.mark.parametrize(("free", "wanted"), [(1000, 0), (1500, 500)])
def test_the_floor_of_free_bytes_may_be_reached(storage, settings, free, wanted):
    settings.PORTAL_MIN_FREE_BYTES, storage.capacity = 1000, free
    refuse_when_full(storage, wanted)


@pytest.mark.parametrize(("free", "wanted"), [(999, 0), (1500, 501)])
def test_less_than_the_floor_of_free_bytes_is_refused(storage, settings, free, wanted):
    settings.PORTAL_MIN_FREE_BYTES, storage.capacity = 1000, free
    with pytest.raises(exceptions.OutOfSpace):
        refuse_when_full(storage, wanted)


def test_without_a_floor_nobody_asks_for_the_free_bytes(storage, settings, monkeypatch):
    settings.PORTAL_MIN_FREE_BYTES = 0
    monkeypatch.setattr(storage, "free_bytes", failing(AssertionError("asked")))
    refuse_when_full(storage, 2**60)


def test_a_storage_that_cannot_say_what_is_free_is_unavailable(storage, settings, monkeypatch):
    settings.PORTAL_MIN_FREE_BYTES = 1
    monkeypatch.setattr(storage, "free_bytes", failing(base.StorageUnavailable("gone")))
    with pytest.raises(exceptions.StorageUnavailable):
        refuse_when_full(storage)


class Remote:
    """A storage behind a network."""

    locks = False


def in_a_thread(call):
    """Return what `call` did in a thread of its own: its value, or the error that it raised."""
    done = []

    def run():
        try:
            done.append(call())
        except exceptions.StorageUnavailable as error:
            done.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return done[0]


def take_turn(storage):
    with storage_turn(storage):
        return "had a turn"


def test_a_few_at_once_wait_for_a_store_and_the_next_is_refused(monkeypatch):
    monkeypatch.setattr(space, "TURN_SECONDS", 0.01)
    go_on, inside = threading.Event(), threading.Semaphore(0)

    def hold():
        with storage_turn(Remote):
            inside.release()
            assert go_on.wait(30)

    threads = [threading.Thread(target=hold) for _ in range(space.TURNS)]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(go_on.set)
        for _ in threads:
            assert inside.acquire(timeout=30)
        assert isinstance(in_a_thread(lambda: take_turn(Remote)), exceptions.StorageUnavailable)
    assert in_a_thread(lambda: take_turn(Remote)) == "had a turn"


def test_a_turn_within_a_turn_is_the_same_one_and_a_folder_needs_none(monkeypatch, storage):
    monkeypatch.setattr(space, "TURN_SECONDS", 0.01)
    with ExitStack() as stack:
        for _ in range(space.TURNS + 1):
            stack.enter_context(storage_turn(Remote))
        assert in_a_thread(lambda: take_turn(Remote)) == "had a turn"
    with ExitStack() as stack:
        for _ in range(space.TURNS + 1):
            stack.enter_context(storage_turn(storage))
        assert take_turn(storage) == "had a turn"

"""Faults of the storage as services tell them: full, or not answering."""

import pytest

from portal import exceptions
from portal.services.space import refuse_when_full, storage_errors
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

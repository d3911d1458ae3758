"""The numberer: what is committed has its number soon, whatever is handed out or sent meanwhile."""

import pytest
from django.db import OperationalError

from portal.models import OutboxEvent
from portal.services import events, numbering
from portal.services.numbering import LONGEST_PAUSE, POLL_SECONDS, Numberer
from tests.samples import store_file
from tests.services.situations import failing


@pytest.fixture(autouse=True)
def _connections_stay_open(monkeypatch):
    """A round closes connections that are old or broken; that of the test holds its transaction."""
    monkeypatch.setattr(numbering, "close_old_connections", lambda: None)
    monkeypatch.setattr(numbering.connections, "close_all", lambda: None)


def numbers():
    """Return the numbers of all events."""
    return list(OutboxEvent.objects.order_by("id").values_list("seq", flat=True))


def test_one_round_numbers_all_that_there_is(ann, storage, monkeypatch):
    monkeypatch.setattr(events, "BLOCK", 2)
    for _ in range(5):
        store_file(ann, storage)
    assert Numberer(stopped=lambda seconds: False).round()
    assert numbers() == [1, 2, 3, 4, 5]


def test_told_to_stop_it_begins_no_other_block(ann, storage, monkeypatch):
    monkeypatch.setattr(events, "BLOCK", 2)
    for _ in range(5):
        store_file(ann, storage)
    asked = []

    def stopped(seconds):
        asked.append(seconds)
        return len(asked) > 1

    Numberer(stopped=stopped).run()
    assert asked == [POLL_SECONDS, 0, POLL_SECONDS]
    assert numbers() == [1, 2, None, None, None]


def test_a_fault_of_the_database_is_waited_out(ann, storage, monkeypatch):
    store_file(ann, storage)
    ours = Numberer(stopped=lambda seconds: False)
    with monkeypatch.context() as broken:
        broken.setattr(numbering, "number_events", failing(OperationalError("gone")))
        for _ in range(10):
            assert ours.round() is False
        assert ours._pause == LONGEST_PAUSE
    assert ours.round()
    assert (numbers(), ours._pause) == ([1], POLL_SECONDS)

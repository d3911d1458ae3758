"""A reader of events beside writers that commit late: none missed, none twice."""

import contextlib
import threading

import pytest
from django.db import connection

from portal.models import OutboxEvent
from portal.services.events import list_events, number_events
from portal.services.transactions import write_transaction
from tests.rounds import rounds
from tests.samples import store_file

WRITERS = 16

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reader_who_remembers_the_last_number_misses_none(ann, storage, dice):
    like, each = OutboxEvent.objects.get(subject_id=store_file(ann, storage).session_id), rounds(60) // 10
    over, written, lock = threading.Event(), set(), threading.Lock()
    pauses = [[dice.uniform(0, 0.01) for _ in range(each)] for _ in range(WRITERS)]

    def write(mine):
        with contextlib.closing(connection):
            for pause in mine:
                event = OutboxEvent(owner=ann.user, event_type=like.event_type, payload={})
                event.subject_id = event.pk
                with write_transaction():
                    event.save(force_insert=True)
                    # Its commit is late: others with later ids are numbered before it.
                    over.wait(pause)
                with lock:
                    written.add(event.pk)

    def number():
        with contextlib.closing(connection):
            while not over.is_set():
                number_events()

    writers = [threading.Thread(target=write, args=(mine,)) for mine in pauses]
    workers = [threading.Thread(target=number) for _ in range(2)]
    for thread in (*writers, *workers):
        thread.start()
    seen, last = [], 0
    while any(thread.is_alive() for thread in writers) or OutboxEvent.objects.filter(seq__isnull=True).exists():
        for row in list_events(ann, ["seq", "id"], after=last).rows:
            seen.append(row["id"])
            last = row["seq"]
    seen += [row["id"] for row in list_events(ann, ["id"], after=last, limit=1000).rows]
    over.set()
    for thread in workers:
        thread.join()
    assert len(seen) == len(set(seen)) == len(written) + 1
    assert set(seen) == written | {like.pk}

"""Events in the order in which they are read: numbered after their commit, so that a reader misses none."""

from django.db.models import F

from portal import access
from portal.models import EventCounter, OutboxEvent
from portal.services.pages import read_page
from portal.services.transactions import write_transaction

#: Events numbered in one transaction.
BLOCK = 500


def number_events():
    """Give the next numbers to events that are committed and have none; return how many, 0 when there are none.

    One at a time: the counter's row is held from before the look to the end of the commit. So whoever sees a number
    sees all below it, also those of other workers, and a reader who remembers the last one misses none.
    """
    if not OutboxEvent.objects.filter(seq__isnull=True).exists():
        return 0
    with write_transaction():
        last = _hold_counter()
        count = OutboxEvent.objects.give_numbers(after=last, limit=BLOCK)
        EventCounter.objects.filter(pk=EventCounter.ONLY).update(last_seq=last + count)
    return count


def _hold_counter():
    """Lock the counter's row, which is made when it is first needed; return the last number."""
    counter = EventCounter.objects.filter(pk=EventCounter.ONLY)
    if not counter.update(last_seq=F("last_seq")):
        # Two may be the first: the second waits for the commit of the other here.
        EventCounter.objects.bulk_create([EventCounter()], ignore_conflicts=True)
        counter.update(last_seq=F("last_seq"))
    return counter.get().last_seq


def list_events(caller, fields, *, event_type=None, batch_id=None, after=None, **page):
    """Return a Page of the events that the caller may read, by `seq`, from the oldest; those after `after` if given."""
    rows = access.events_of(caller).filter(seq__isnull=False)
    if event_type:
        rows = rows.filter(event_type=event_type)
    if batch_id:
        rows = rows.filter(batch_id=batch_id)
    if after is not None:
        rows = rows.filter(seq__gt=after)
    return read_page(rows, fields, key="seq", **page)

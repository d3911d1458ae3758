"""What a claim takes: run with a portal's environment, asked line by line.

python -m benchmarks.claim_time

Once deliveries wait it says so by a line, and then answers each line on stdin by one: the milliseconds that a claim
took, the median of a few.
"""

import sys
import time

import configurations
import orjson

configurations.setup()

# What follows reads models.
from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from benchmarks.measure import median  # noqa: E402
from portal.models import Delivery, Endpoint, OutboxEvent  # noqa: E402
from portal.services.deliveries import claim_due, hand_out  # noqa: E402
from portal.services.endpoints import note_environment  # noqa: E402
from portal.services.events import number_events  # noqa: E402

WAITING = 10_000
CLAIMS = 20
LIMIT = 16


def main():
    """Let 10,000 deliveries wait, claim some again and again, and remove all of them."""
    owner = get_user_model().objects.get(username="bench")
    rows = [OutboxEvent(owner=owner, event_type="file.uploaded", payload={}) for _ in range(WAITING)]
    for row in rows:
        row.subject_id = row.pk
    OutboxEvent.objects.bulk_create(rows, batch_size=500)
    note_environment()
    while number_events() + hand_out():
        pass
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    endpoint = Endpoint.objects.get()
    say(0)
    for _ in sys.stdin:
        # In one transaction, so that no commit is in it: that is the disk's, and the same for every table. A longer one
        # would outgrow SQLite's cache of pages, which a worker's, of one claim, never does.
        with transaction.atomic():
            taken = [claim(endpoint) for _ in range(CLAIMS)]
        say(median(taken))
    Delivery.objects.filter(status=Delivery.Status.PENDING).delete()


def claim(endpoint):
    """Claim some deliveries and return the milliseconds that it took."""
    began = time.perf_counter()
    claimed = claim_due([endpoint], lambda *_: LIMIT)
    taken = (time.perf_counter() - began) * 1000
    if len(claimed) != LIMIT:
        raise RuntimeError(f"{len(claimed)} were claimed instead of {LIMIT}")
    return taken


def say(milliseconds):
    """Write one line."""
    sys.stdout.buffer.write(orjson.dumps(milliseconds) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

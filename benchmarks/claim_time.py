"""What one claim takes, in milliseconds, on stdout: run with a portal's environment.

python -m benchmarks.claim_time
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
CLAIMS = 200
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
    endpoint, taken = Endpoint.objects.get(), []
    # All in one transaction, so that no commit is in it: that is the disk's, and the same for every table.
    with transaction.atomic():
        for _ in range(CLAIMS):
            began = time.perf_counter()
            claimed = claim_due([endpoint], lambda *_: LIMIT)
            taken.append((time.perf_counter() - began) * 1000)
            if len(claimed) != LIMIT:
                raise RuntimeError(f"{len(claimed)} were claimed instead of {LIMIT}")
    Delivery.objects.filter(status=Delivery.Status.PENDING).delete()
    sys.stdout.buffer.write(orjson.dumps(median(taken)))


if __name__ == "__main__":
    main()

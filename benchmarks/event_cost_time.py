"""What a finalize takes with its event and without, in milliseconds, on stdout: run with a portal's environment.

python -m benchmarks.event_cost_time COUNT
"""

import sys
import time
from contextlib import contextmanager, nullcontext
from unittest import mock

import configurations
import orjson

configurations.setup()

# What follows reads models.
from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks.measure import median  # noqa: E402
from portal.access import Caller  # noqa: E402
from portal.services import outbox  # noqa: E402
from portal.services.finalize import finalize_session  # noqa: E402
from portal.storage import get_storage  # noqa: E402
from tests.samples import make_batch, ready_session  # noqa: E402

SIZE = 64 * 1024
WARM_UP = 20


def main():
    """Finalize files in turn, one with its event and one without; print the medians of both."""
    count, storage = int(sys.argv[1]), get_storage()
    caller = Caller(get_user_model().objects.get(username="bench"), {"upload", "read"})
    batch = make_batch(caller)
    ways = {True: nullcontext, False: lambda: mock.patch.object(outbox, "record_files_uploaded")}
    seen = {way: [] for way in ways}
    for number in range(WARM_UP + count):
        # Who comes first changes, since the second finds warmer caches.
        for way in sorted(ways, reverse=bool(number % 2)):
            session = ready_session(caller, storage, bytes(SIZE), batch=batch)
            with ways[way]():
                figures = time_of(lambda session=session: finalize_session(session, storage=storage))
            if number >= WARM_UP:
                seen[way].append(figures)
    kinds = {kind: [median([each[kind] for each in seen[way]]) for way in (True, False)] for kind in seen[True][0]}
    sys.stdout.buffer.write(orjson.dumps(kinds))


def time_of(action):
    """Return what `action()` takes, and its statements alone."""
    with statements() as taken:
        cpu, wall = time.process_time(), time.perf_counter()
        action()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"cpu": cpu * 1000, "wall": wall * 1000, "statements": sum(taken) * 1000}


@contextmanager
def statements():
    """Give a list of the seconds that each statement takes; commits are none."""
    taken = []

    def run(execute, *args):
        began = time.perf_counter()
        try:
            return execute(*args)
        finally:
            taken.append(time.perf_counter() - began)

    with connection.execute_wrapper(run):
        yield taken


if __name__ == "__main__":
    main()

"""How many requests a token may make: a bucket for each, in this process alone, since a shared one costs a write."""

import math
import threading
import time

from django.conf import settings

from portal.exceptions import RateLimited

#: A bucket holds so many seconds' worth: who was quiet may hurry for a while.
BURST_SECONDS = 10
#: Buckets that are kept at most; those that are full again say nothing and go first.
MAX_BUCKETS = 10_000


class Rates:
    """A bucket for each key: `take` refuses with RateLimited once it is empty."""

    def __init__(self, now=time.monotonic):
        self._now = now
        self._mutex = threading.Lock()
        #: Key → (what was left, when).
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key, rate):
        """Take one request of `key`, which may make `rate` a second; 0 is no limit."""
        if not rate:
            return
        with self._mutex:
            now, full = self._now(), float(rate * BURST_SECONDS)
            left, at = self._buckets.get(key, (full, now))
            left = min(full, left + (now - at) * rate)
            if left < 1:
                error = RateLimited()
                error.retry_after = math.ceil((1 - left) / rate)
                raise error
            if len(self._buckets) >= MAX_BUCKETS and key not in self._buckets:
                self._forget(now)
            self._buckets[key] = (left - 1, now)

    def _forget(self, now):
        """Drop those that are full again; if there are none, the longest untouched half."""
        kept = {key: kept for key, kept in self._buckets.items() if now - kept[1] < BURST_SECONDS}
        if len(kept) >= MAX_BUCKETS:
            newest = sorted(kept.items(), key=lambda item: item[1][1])[MAX_BUCKETS // 2 :]
            kept = dict(newest)
        self._buckets = kept


rates = Rates()


def take_request(digest):
    """Take one request of the token with this digest; raises RateLimited."""
    rates.take(digest, settings.PORTAL_RATE_LIMIT)

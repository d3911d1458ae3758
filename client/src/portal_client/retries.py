"""How long to wait before a request is sent again, and when to give up."""

import secrets
import threading
import time

from portal_client.errors import ApiError, PortalError, Stopped, Unreachable
from portal_client.waits import Waits, find_reason

FIRST_SECONDS, LONGEST_SECONDS = 0.2, 20.0
#: How often an answer that may be the line's fault is believed to be.
DOUBTS = 4

_dice = secrets.SystemRandom()


class Tries:
    """The tries of one request: `pause` waits before the next, or raises when there is to be none.

    Pauses double, with full jitter, so that a crowd that was refused together does not come back together.
    `patience` are the seconds from the first failure on; `stop` calls a pause off; `waits` hears of it.
    """

    def __init__(self, patience: float, stop: threading.Event, waits: Waits | None = None) -> None:
        self.patience, self.stop, self.waits = patience, stop, waits or Waits("the store")
        self.failures, self.doubts = 0, 0
        self._began: float | None = None

    def pause(self, error: Exception) -> None:
        """Wait after `error`, at least as long as the answer asked for; raises Stopped, or what the caller gets."""
        if self._began is None:
            self._began = time.monotonic()
        self.failures += 1
        if isinstance(error, ApiError) and error.doubtful:
            self.doubts += 1
        seconds = self._seconds(error.retry_after if isinstance(error, ApiError) else None)
        left = self._began + self.patience - time.monotonic()
        if self.waits.in_vain(error, self.patience):
            raise self._last_word(error)
        if self.doubts >= DOUBTS or seconds > left:
            self.waits.lose(error)
            raise self._last_word(error)
        self.waits.tell(error, seconds, left, self.failures)
        if self.stop.wait(seconds):
            raise Stopped("The work was called off.")

    def _seconds(self, retry_after: float | None) -> float:
        if self.failures == 1 and retry_after is None:
            # Most often an idle connection that the server has closed: there is nobody to wait for.
            return _dice.uniform(0, 0.02)
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(self.failures, 16))
        return (retry_after or 0.0) + _dice.uniform(0, longest)

    def _last_word(self, error: Exception) -> PortalError:
        if isinstance(error, PortalError):
            return error
        return Unreachable(f"No answer from {self.waits.place} in {self.failures} tries ({find_reason(error)}).")

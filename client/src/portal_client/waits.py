"""What requests are waiting for, told to whoever listens once, not for every request and try."""

import threading
import time
from collections.abc import Callable

from urllib3.exceptions import ProtocolError

from portal_client.errors import ApiError

#: A refusal that passes sooner is not worth a line.
SHORT_SECONDS = 3.0
#: The same is said, and waited for, again after so long at the earliest.
AGAIN_SECONDS = 60.0


class Waits:
    """All that is waited for at `place`; may be used by many threads. `hear` gets a line for people."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.hear: Callable[[str], None] | None = None
        self._told: dict[str, float] = {}
        self._lost: dict[str, float] = {}
        self._lock = threading.Lock()

    def tell(self, error: Exception, seconds: float, left: float, failures: int) -> None:
        """Tell that a request is sent again in `seconds`, and for `left` seconds at most, after so many failures."""
        if isinstance(error, ApiError):
            if seconds < SHORT_SECONDS:
                return
            text = f"{error} Waiting for that; trying again for up to {left:.0f} s"
        elif failures == 1 and isinstance(error, ProtocolError):
            return  # most often an idle connection that was closed: the next try will do
        else:
            text = f"No answer from {self.place} ({find_reason(error)}); trying again for up to {left:.0f} s"
        with self._lock:
            news = not _within(self._told, _kind(error), max(left, AGAIN_SECONDS))
            if news:
                self._told[_kind(error)] = time.monotonic()
        if news and self.hear:
            self.hear(text)

    def lose(self, error: Exception) -> None:
        """Note that patience with a quota was in vain."""
        if isinstance(error, ApiError) and error.code == "quota_exceeded":
            with self._lock:
                self._lost[_kind(error)] = time.monotonic()

    def in_vain(self, error: Exception, patience: float) -> bool:
        """Whether another file has waited for this just now, in vain: a folder is not to wait once for each of them."""
        with self._lock:
            return _within(self._lost, _kind(error), max(patience, AGAIN_SECONDS))


def _within(times: dict[str, float], kind: str, seconds: float) -> bool:
    return kind in times and time.monotonic() - times[kind] < seconds


def _kind(error: Exception) -> str:
    return f"{error.code} {error.members.get('quota')}" if isinstance(error, ApiError) else ""


def find_reason(error: BaseException) -> str:
    """Return in a few words what lies beneath an error of the connection."""
    beneath: BaseException | None = error
    while beneath is not None:
        if isinstance(beneath, OSError):
            return beneath.strerror or str(beneath)
        beneath = beneath.__cause__ or beneath.__context__
    return str(error)

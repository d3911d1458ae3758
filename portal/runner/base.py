"""What every runner does: take one message to one target, and say what came of it. Nothing is raised."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

#: What a receiver says when it wants nothing more, ever.
GONE = 410
#: No attempt takes longer, however the receiver behaves.
ATTEMPT_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """Where a message goes: a URL, and the keys that sign it (one, or two while they are changed).

    One that is `guarded` is called at public addresses only, or in the networks that are `allowed`.
    """

    url: str
    keys: tuple[bytes, ...] = ()
    guarded: bool = False
    allowed: tuple = ()


@dataclass(frozen=True)
class Message:
    """One event: its id, the same over all retries, and its payload as JSON bytes."""

    event_id: str
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt: the status of the answer, or in few words why there was none.

    `retry_after` is in seconds, as the receiver asked for it. No part of the receiver's body is kept.
    """

    status_code: int | None = None
    error: str = ""
    retry_after: int | None = None
    milliseconds: int = 0

    @property
    def delivered(self):
        """Whether the receiver has it."""
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def gone(self):
        """Whether the receiver wants nothing more."""
        return self.status_code == GONE


class Runner(ABC):
    """Takes messages to targets; called from many threads at once, never inside a transaction."""

    #: How long an attempt may take.
    seconds = ATTEMPT_SECONDS

    @abstractmethod
    def send(self, target, message):
        """Take `message` to `target` once; return the Outcome, whatever happens."""

"""A runner in memory, for tests: keeps what it is sent, and answers as it is told to."""

import threading

from portal.runner.base import Outcome, Runner


class MemoryRunner(Runner):
    """Answers each message by `answer(target, message)`, 204 when none is given."""

    def __init__(self, answer=lambda target, message: Outcome(status_code=204)):
        self.answer = answer
        #: Pairs of target and message, in the order in which they came.
        self.sent = []
        self._lock = threading.Lock()

    def send(self, target, message):
        """Keep the message and return the answer."""
        with self._lock:
            self.sent.append((target, message))
        return self.answer(target, message)

"""A bounded number of threads that work off jobs, of which each may put more in front of those that wait."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from portal_client.errors import Stopped

Job = Callable[[], None]
#: How long jobs that were called off by Ctrl-C are waited for: one that hangs in a request may do so for minutes.
GRACE_SECONDS = 2.0
#: A Ctrl-C is heard after so long at the latest.
HEAR_SECONDS = 0.5


class Crew:
    """At most `size` jobs at once; the first that raises calls off the rest, and `run` raises that.

    What comes when the next job is asked for counts as that job's; a job that is called off by `stop` raises Stopped.
    """

    def __init__(self, size: int, stop: threading.Event) -> None:
        self._size, self._stop = size, stop
        self._changed = threading.Condition()
        self._front: deque[Job] = deque()
        self._rest: Iterator[Job] = iter(())
        self._busy = self._hands = 0
        #: Apart from the lock, which whoever fetches the next job holds for as long as that takes.
        self._ended = threading.Event()
        self._error: BaseException | None = None

    def run(self, jobs: Iterable[Job]) -> None:
        """Return when `jobs`, and all that they put in front, are done.

        On KeyboardInterrupt the jobs are called off by `stop`, and it is raised once they have ended, or soon at least.
        """
        self._rest, self._error, self._hands = iter(jobs), None, self._size
        self._ended.clear()
        threads = [
            threading.Thread(target=self._work, name=f"portal-{number}", daemon=True) for number in range(self._size)
        ]
        try:
            for thread in threads:
                thread.start()
            # Not by join: in Python 3.11, one that Ctrl-C interrupts takes its thread for ended from then on. And not
            # without an end: a Ctrl-C that comes right before a wait is heard after it.
            while not self._ended.wait(HEAR_SECONDS):
                pass
        except KeyboardInterrupt:
            self._stop.set()
            self._ended.wait(GRACE_SECONDS)
            raise
        if self._error:
            raise self._error

    def put_first(self, jobs: Iterable[Job]) -> None:
        """Have these done before the jobs that wait; called by a job."""
        with self._changed:
            self._front.extendleft(reversed(list(jobs)))
            self._changed.notify_all()

    def _work(self) -> None:
        self._do_jobs()
        with self._changed:
            self._hands -= 1
            if not self._hands:
                self._ended.set()

    def _do_jobs(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - it is raised where the crew was called
                with self._changed:
                    self._error = self._error or error
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            while not self._error:
                try:
                    job = self._take()
                except BaseException as error:  # noqa: BLE001 - as that of a job
                    self._error = error
                    break
                if job is not None:
                    self._busy += 1
                    return job
                if not self._busy:
                    break
                # One that is at work may still put more in front.
                self._changed.wait(1.0)
            self._front.clear()
            return None

    def _take(self) -> Job | None:
        job = self._front.popleft() if self._front else next(self._rest, None)
        if job is not None and self._stop.is_set():
            raise Stopped("The work was called off.")
        return job

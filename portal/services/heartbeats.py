"""The heartbeat of workers: each has a row for as long as it runs, so that one that died or hangs is seen."""

import logging
import os
import socket
import time
from datetime import timedelta

from django.db import Error as AnyDatabaseError
from django.db import close_old_connections, connections
from django.db.models.functions import Now

from portal.exceptions import PortalError
from portal.models import WorkerBeat
from portal.services.transactions import write_transaction

logger = logging.getLogger("portal.worker")

BEAT_SECONDS = 10
#: A worker that was not heard of for so long is silent: six beats, or a disk that took very long over one.
SILENT_SECONDS = 60
#: A loop that has not asked whether to stop for so long hangs: no single step of its work takes as long.
HANG_SECONDS = 600
#: The row of a worker that died is dropped by another one's beat after so long.
KEPT = timedelta(days=1)

OK, NONE, SILENT = "ok", "none", "silent"


class Pulse:
    """Tells whether a loop works: whoever works asks again and again whether to stop, and who hangs does not."""

    def __init__(self, name, stopped, now=time.monotonic):
        self.name, self._stopped, self._now = name, stopped, now
        self._asked_at = now()

    def stopped(self, seconds):
        """Wait, and be true when a stop is asked for: what the loop asks."""
        self._asked_at = self._now()
        return self._stopped(seconds)

    def is_felt(self):
        """Whether the loop has asked lately."""
        return self._now() - self._asked_at < HANG_SECONDS


class Heart:
    """Says every ten seconds that this worker lives, while each of its loops works; a clean stop takes its row away."""

    def __init__(self, *, stopped, pulses=()):
        #: `stopped(seconds)` waits and is true when a stop is asked for.
        self.stopped, self.pulses = stopped, pulses
        self.row = WorkerBeat(name=f"{socket.gethostname()} {os.getpid()}")

    def run(self):
        """Beat until a stop is asked for; a database that does not answer is waited out."""
        self._try(self._beat_while_all_work)
        while not self.stopped(BEAT_SECONDS):
            self._try(self._beat_while_all_work)
        self._try(self.leave)
        connections.close_all()

    def beat(self):
        """Write the time into this worker's row, which is made when it is not there."""
        with write_transaction():
            if not WorkerBeat.objects.filter(pk=self.row.pk).update(beat_at=Now()):
                self.row.save(force_insert=True)
                WorkerBeat.objects.filter(pk=self.row.pk).update(beat_at=Now())
            WorkerBeat.objects.filter(beat_at__lt=Now() - KEPT).delete()

    def leave(self):
        """Take the row away."""
        with write_transaction():
            WorkerBeat.objects.filter(pk=self.row.pk).delete()

    def _beat_while_all_work(self):
        hanging = [pulse.name for pulse in self.pulses if not pulse.is_felt()]
        if hanging:
            logger.error("the worker has no heartbeat: nothing was heard of its %s", " and its ".join(hanging))
        else:
            self.beat()

    def _try(self, step):
        close_old_connections()
        try:
            step()
        except (PortalError, AnyDatabaseError) as error:
            logger.warning("the worker's heartbeat waits: %s", error)
            connections.close_all()


def worker_state():
    """Return `ok` when a worker was heard of lately, `silent` when all of them died or hang, `none` without any."""
    if WorkerBeat.objects.since(SILENT_SECONDS).exists():
        return OK
    return SILENT if WorkerBeat.objects.exists() else NONE

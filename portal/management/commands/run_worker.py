"""`manage.py run_worker`: finalizes, expiry, clean-up and the delivery of events, in the background."""

import signal
import threading

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from portal import tracing
from portal.metrics import tallies
from portal.runner.webhook import WebhookRunner
from portal.services.bells import Bell, Listener, Stop
from portal.services.dispatch import Dispatcher
from portal.services.heartbeats import Heart, Pulse
from portal.services.numbering import Numberer
from portal.services.worker import Worker
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage


class Command(BaseCommand):
    """Work until SIGTERM or SIGINT; any number may run beside each other."""

    help = (
        "Run the background worker: takes up finalizes that wait, expires sessions, removes their bytes, "
        "numbers events and delivers them. Stops cleanly on SIGTERM. Any number of workers may run."
    )

    def handle(self, *args, **options):
        stop = Stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            storage = get_storage()
        except (StorageMisconfigured, StorageUnavailable) as error:
            raise CommandError(str(error)) from error
        tallies.share(settings.PORTAL_DATA_DIR / "metrics")
        if settings.PORTAL_TRACING:
            tracing.start("portal-worker")
        # In threads of their own: a large file that is hashed holds up no event and no heartbeat, and what is sent
        # holds up no number.
        committed, numbered = Bell(stop), Bell(stop)
        pulses = numberer, dispatcher, worker = [
            Pulse("numberer", committed.stopped),
            Pulse("dispatcher", numbered.stopped),
            Pulse("worker", stop.wait),
        ]
        beside = [
            Companion(numberer.name, Numberer(stopped=numberer.stopped, numbered=numbered.set).run, stop),
            Companion(dispatcher.name, Dispatcher(runner=WebhookRunner(), stopped=dispatcher.stopped).run, stop),
            Companion("heartbeat", Heart(stopped=stop.wait, pulses=pulses).run, stop),
        ]
        if connection.vendor == "postgresql":
            beside.append(Companion("listener", Listener(bell=committed, stopped=stop.wait).run, stop))
        try:
            Worker(storage=storage, stopped=worker.stopped).run()
        finally:
            stop.set()
            for companion in beside:
                companion.join()
            tracing.stop()
        for companion in beside:
            if companion.failed:
                raise CommandError(f"The {companion.name} ended; the log says why.")


class Companion(threading.Thread):
    """A thread beside the worker: when one of the two ends, both do."""

    def __init__(self, name, work, stop):
        super().__init__(name=name)
        self.work, self.stop, self.failed = work, stop, True
        self.start()

    def run(self):
        """Work to the end; a defect is told by the thread's own hook."""
        try:
            self.work()
            self.failed = False
        finally:
            self.stop.set()

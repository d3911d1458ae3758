"""`manage.py run_worker`: finalizes, expiry and clean-up in the background."""

import signal
import threading

from django.core.management.base import BaseCommand, CommandError

from portal.services.worker import Worker
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage


class Command(BaseCommand):
    """Work until SIGTERM or SIGINT; any number may run beside each other."""

    help = (
        "Run the background worker: takes up finalizes that wait, expires sessions, removes their bytes. "
        "Stops cleanly on SIGTERM. Any number of workers may run."
    )

    def handle(self, *args, **options):
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            storage = get_storage()
        except (StorageMisconfigured, StorageUnavailable) as error:
            raise CommandError(str(error)) from error
        Worker(storage=storage, stopped=stop.wait).run()

"""`manage.py dispatch_events`: send what is due now, once through."""

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as AnyDatabaseError

from portal.exceptions import PortalError
from portal.runner.webhook import WebhookRunner
from portal.services.dispatch import Dispatcher


class Command(BaseCommand):
    """What the worker does all the time, for a cron job or an operator who does not want to wait."""

    help = (
        "Send every event that is due, once through, and print what came of it: delivered, failed (tried again "
        "later), dead (the last attempt has failed)."
    )

    def handle(self, *args, **options):
        try:
            counts = Dispatcher(runner=WebhookRunner(), stopped=lambda seconds: False).run_once()
        except (PortalError, AnyDatabaseError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(" ".join(f"{name}={counts[name]}" for name in ("delivered", "failed", "dead")))

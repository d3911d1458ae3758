"""`manage.py cleanup_uploads`: one whole round of expiry and clean-up, now."""

from django.core.management.base import BaseCommand, CommandError

from portal.exceptions import PortalError
from portal.services.worker import clean_up
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage


class Command(BaseCommand):
    """The same round as the worker's, for a cron job or an operator who does not want to wait."""

    help = (
        "Expire sessions that were left alone, take up finalizes that wait, remove bytes of dead sessions, "
        "and move bytes that no row names and that are older than 24 h to the trash. Prints what was done."
    )

    def handle(self, *args, verbosity, **options):
        def progress(step):
            if verbosity > 1 or self.stderr.isatty():
                self.stderr.write(f"… {step}")

        try:
            done = clean_up(storage=get_storage(), progress=progress)
        except PortalError as error:
            raise CommandError(error.detail) from error
        except (StorageMisconfigured, StorageUnavailable) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(done))

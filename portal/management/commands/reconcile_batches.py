"""`manage.py reconcile_batches`: recount the batches from their files and print the drift."""

from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from portal.models import UploadBatch
from portal.services.reconcile import find_drift, fix_batch
from portal.services.usage import find_usage_drift, fix_usage


class Command(BaseCommand):
    """The drift is 0, and this is how one knows: exit status 1 when it is not."""

    help = (
        "Recount batches from their files, and what owners take up; print each counter that differs, then the drift. "
        "Exits with 1 when there is any and --fix is not given."
    )

    def add_arguments(self, parser):
        parser.add_argument("batch", nargs="*", type=UUID, help="only these batches (all)")
        parser.add_argument("--fix", action="store_true", help="set the counters to what the rows say")

    def handle(self, *args, batch, fix, verbosity, **options):
        known = UploadBatch.objects.in_bulk(batch)
        if unknown := [str(pk) for pk in batch if pk not in known]:
            raise CommandError(f"There is no batch {', '.join(unknown)}; nothing was counted.")
        looked_at = 0

        def progress(count):
            nonlocal looked_at
            looked_at = count
            if verbosity > 1 or self.stderr.isatty():
                self.stderr.write(f"… {count} batches")

        drift = 0
        for found in find_drift(batch_ids=batch or None, progress=progress):
            drift += 1
            self.stdout.write(str(found))
            if fix:
                fix_batch(found.batch_id)
        for found in () if batch else find_usage_drift():
            drift += 1
            self.stdout.write(str(found))
            if fix:
                fix_usage(found.owner_id)
        self.stdout.write(f"batches={looked_at} drift={drift}{' fixed' if fix and drift else ''}")
        if drift and not fix:
            raise CommandError("There is drift; --fix sets the counters to what the rows say.")

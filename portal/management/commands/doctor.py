"""`manage.py doctor`: look for everything that is stuck, and say what to do about it."""

from django.core.management.base import BaseCommand, CommandError

from portal.services.doctor import EXAMPLES, STATES, examine
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage


class Command(BaseCommand):
    """Changes nothing; exit status 1 when something is stuck."""

    help = (
        "Look for what is stuck past its deadline: claims, sessions, events, deliveries, files without bytes, bytes "
        "without files, drift, disk. Says of each what to do. Exits with 1 when it found anything."
    )

    def add_arguments(self, parser):
        parser.add_argument("--quick", action="store_true", help="leave out what reads the whole storage or all rows")

    def handle(self, *args, quick, verbosity, **options):
        def progress(state):
            if verbosity > 1 or self.stderr.isatty():
                self.stderr.write(f"… {state}")

        try:
            storage = get_storage()
        except (StorageUnavailable, StorageMisconfigured) as error:
            raise CommandError(f"The storage cannot be used: {error}") from error
        found = 0
        for finding in examine(storage=storage, quick=quick, progress=progress):
            found += 1
            self.tell(finding)
        looked_at = sum(1 for state in STATES if not (quick and state.slow))
        self.stdout.write(f"states={looked_at} stuck={found}")
        if found:
            raise CommandError("Something is stuck; what to do stands above.")

    def tell(self, finding):
        """Write what is stuck in one state."""
        state = finding.state
        self.stdout.write(f"{state.name}: {finding.count}, {state.what}")
        for example in finding.examples:
            self.stdout.write(f"  {example}")
        if finding.count > EXAMPLES:
            self.stdout.write(f"  … and {finding.count - EXAMPLES} more")
        self.stdout.write(f"  → {state.advice}")

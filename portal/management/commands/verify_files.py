"""`manage.py verify_files`: read STORED files back and report what does not match its SHA-256."""

import json
from datetime import UTC, datetime
from itertools import chain
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from portal.services.verify import count_stored, verify_named, verify_sessions, verify_stored
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storage

#: Where a run that is stopped leaves how far it came, below the data folder.
PLACE = "verify_files.json"
#: So many files at most are looked at again after a kill -9.
KEEP_EVERY = 200


def moment(text):
    """Return a date or a time in ISO 8601 as a datetime; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--since wants a date or time such as 2026-11-25 or 2026-11-25T08:00Z: {text!r}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def percent(text):
    """Return `5`, `5%` or `0.1` as a share between 0 and 1."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError as error:
        raise CommandError(f"--sample wants a percentage such as 5 or 0.1: {text!r}") from error
    if not 0 < share <= 1:
        raise CommandError(f"--sample wants more than 0 and at most 100 percent: {text!r}")
    return share


class Command(BaseCommand):
    """Nothing is written but how far it came; exit status 1 when anything is wrong."""

    help = (
        "Read STORED files back and print each that is missing, has another size or another SHA-256. "
        "Exits with 1 when there is any. A run that is stopped goes on with --resume."
    )

    def add_arguments(self, parser):
        parser.add_argument("--since", help="only files stored at this date or time or later (ISO 8601, UTC)")
        parser.add_argument("--sample", metavar="PERCENT", help="only about so many of them, chosen by chance")
        parser.add_argument("--quick", action="store_true", help="compare sizes alone, read no bytes")
        parser.add_argument("--resume", action="store_true", help="go on where the last run was stopped")
        parser.add_argument(
            "--after-restore",
            action="store_true",
            help="look also for parts that are lost and for bytes that no row names; stop server and worker first",
        )

    def handle(self, *args, since, sample, quick, resume, after_restore, **options):
        since, share = moment(since) if since else None, percent(sample) if sample else 1.0
        self.place = settings.PORTAL_DATA_DIR / PLACE
        self.seen = self._read_place() if resume else {"after": None, "files": 0, "bytes": 0, "found": 0}
        try:
            storage = get_storage()
            self._verify_files(storage, since=since, share=share, quick=quick)
            if after_restore:
                for finding in chain(verify_sessions(storage=storage), verify_named(storage=storage)):
                    self._tell(finding)
        except KeyboardInterrupt as error:
            raise CommandError("Stopped; --resume goes on from there.", returncode=130) from error
        except (StorageMisconfigured, StorageUnavailable) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("files={files} bytes={bytes} found={found}".format(**self.seen))
        if self.seen["found"]:
            raise CommandError("Not everything is as its row says.")

    def _verify_files(self, storage, *, since, share, quick):
        seen = self.seen
        after = UUID(seen["after"]) if seen["after"] else None
        expected = seen["files"] + round(share * count_stored(since=since, after=after))
        try:
            with progress_bar() as bar:
                task = bar.add_task("files", total=expected, completed=seen["files"])
                rows = verify_stored(storage=storage, since=since, after=after, share=share, quick=quick)
                for row, finding in rows:
                    seen["after"] = str(row["id"])
                    seen["files"] += 1
                    seen["bytes"] += row["size_bytes"]
                    if finding:
                        self._tell(finding)
                    if seen["files"] % KEEP_EVERY == 0:
                        self._keep_place()
                    bar.advance(task)
        except BaseException:
            self._keep_place()
            raise
        self.place.unlink(missing_ok=True)

    def _tell(self, finding):
        self.seen["found"] += 1
        self.stdout.write(str(finding))

    def _read_place(self):
        try:
            return json.loads(self.place.read_text())
        except FileNotFoundError as error:
            raise CommandError("There is nothing to go on with: the last run came to its end.") from error

    def _keep_place(self):
        aside = self.place.with_suffix(".new")
        aside.write_text(json.dumps(self.seen))
        aside.replace(self.place)


def progress_bar():
    """Return a bar on stderr, with files, share and time left; it shows on a terminal alone."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

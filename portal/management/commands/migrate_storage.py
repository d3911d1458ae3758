"""`manage.py migrate_storage --to URL`: move STORED files between a folder and S3, while the portal runs."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.exceptions import PortalError
from portal.management.commands.verify_files import progress_bar
from portal.services.moves import count_to_move, move_files
from portal.storage import StorageMisconfigured, StorageUnavailable, get_storages, open_storage


class Command(BaseCommand):
    """Exit status 1 when a file could not be moved; again, it goes on with what is left."""

    help = (
        "Move STORED files to another kind of storage: each is copied, read back, its SHA-256 compared, and only then "
        "does its row change and the original go. PORTAL_STORAGE_URL and PORTAL_STORAGE_OTHER_URL must name both "
        "places, for the server too, so that files can be read all the while. A run that is stopped goes on with what "
        "is left."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--to", metavar="URL", required=True, help="file:///absolute/folder or s3://bucket/prefix?…"
        )
        parser.add_argument("--parallel", type=int, default=4, help="files that are copied at once (4)")
        parser.add_argument("--dry-run", action="store_true", help="count what would be moved")

    def handle(self, *args, to, parallel, dry_run, **options):
        if not 1 <= parallel <= 64:
            raise CommandError("--parallel wants a number from 1 to 64.")
        try:
            # Compared before it is opened: a folder that was mistyped would be made.
            if to not in (settings.PORTAL_STORAGE_URL, settings.PORTAL_STORAGE_OTHER_URL):
                raise CommandError("--to must be what PORTAL_STORAGE_URL or PORTAL_STORAGE_OTHER_URL says.")
            target = next(storage for storage in get_storages() if storage is open_storage(to))
            files, size = count_to_move(target)
            if dry_run:
                self.stdout.write(f"files={files} bytes={size}")
                return
            target.check()
            self._move(target, files, parallel)
        except KeyboardInterrupt as error:
            raise CommandError("Stopped; the same command goes on from there.", returncode=130) from error
        except (StorageMisconfigured, StorageUnavailable, PortalError) as error:
            raise CommandError(f"{error} The same command goes on with what is left.") from error

    def _move(self, target, files, parallel):
        moved = size = failed = 0
        try:
            with progress_bar() as bar:
                task = bar.add_task("files", total=files)
                for row, finding in move_files(target, parallel=parallel):
                    if finding:
                        failed += 1
                        self.stdout.write(str(finding))
                    else:
                        moved += 1
                        size += row["size_bytes"]
                    bar.advance(task)
        finally:
            self.stdout.write(f"moved={moved} bytes={size} failed={failed}")
        if failed:
            raise CommandError("Not everything was moved.")

"""`manage.py migrate`: Django's own, which on PostgreSQL waits for no lock longer than a few seconds.

A migration that waits for a table that somebody reads makes everybody after it wait too: better it gives up, changes
nothing, and is run again.
"""

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

#: How long a statement of a migration waits for its lock.
LOCK_SECONDS = 5
#: What PostgreSQL calls it (its manual, appendix A).
LOCK_NOT_AVAILABLE = "55P03"


class Command(migrate.Command):
    """Migrate; a lock that is not to be had in time ends it, with what is done so far kept and the rest undone."""

    def handle(self, *args, database, **options):
        """Migrate `database`, with the time-out on its connection for as long as this takes."""
        connection = connections[database]
        if connection.vendor != "postgresql":
            return super().handle(*args, database=database, **options)
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {round(LOCK_SECONDS * 1000)}")
        try:
            return super().handle(*args, database=database, **options)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise CommandError(
                f"A table was locked for {LOCK_SECONDS} seconds: somebody has a long transaction. The migration that "
                "was under way changed nothing. Run migrate again."
            ) from error
        finally:
            if not connection.in_atomic_block:
                connection.close()  # the next use has the database's own time-out again

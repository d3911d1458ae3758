"""`manage.py replay_events`: send events again that are dead, or those that are named."""

from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as AnyDatabaseError

from portal.exceptions import PortalError
from portal.models import OutboxEvent
from portal.services.replays import replay_dead, replay_event


class Command(BaseCommand):
    """For an operator whose receiver works again, or has lost what it was told."""

    help = (
        "Have every delivery that is DEAD sent again, or the events that are named, whatever became of them. The "
        "worker sends them, each under the id that it has for life; the number of deliveries is printed."
    )

    def add_arguments(self, parser):
        parser.add_argument("event", nargs="*", type=UUID, help="these events (all that are dead)")

    def handle(self, *args, event, **options):
        try:
            self.stdout.write(f"replayed={self._replay_named(event) if event else self._replay_all_dead()}")
        except (PortalError, AnyDatabaseError) as error:
            raise CommandError(str(error)) from error

    def _replay_named(self, ids):
        events = OutboxEvent.objects.in_bulk(ids)
        if unknown := [str(pk) for pk in ids if pk not in events]:
            raise CommandError(f"There is no event {', '.join(unknown)}; nothing was replayed.")
        return sum(len(replay_event(event)) for event in events.values())

    def _replay_all_dead(self):
        total = 0
        while count := replay_dead():
            total += count
        return total

"""One who asks: what the requests of the walk have in common; `which` means one of what is there."""

from tests.stateful.client import Client
from tests.stateful.model import TO_REOPEN


def _choose(which, likely, count):
    """Return one of `likely` in three of four cases, else one of `count`."""
    return likely[which % len(likely)] if likely and which % 4 else which // 4 % count


class Caller(Client):
    """Whoever sends requests."""

    def new_name(self):
        """Return a name that nothing of this owner has; others may have the same."""
        self.owner.named += 1
        return f"{self.owner.named}.bin"

    def batch_at(self, which):
        """Return the place of a batch; mostly of one that is open."""
        batches = self.model.batches
        return _choose(which, [place for place, one in enumerate(batches) if not one.closed(TO_REOPEN)], len(batches))

    def batch_url(self, place):
        """Return the URL of the batch at a place."""
        return f"/batches/{self.model.batches[place].id}"

    def session_at(self, which):
        """Return the place of a session; mostly of one that is open."""
        sessions = self.model.sessions
        return _choose(which, [place for place, one in enumerate(sessions) if one.open and not one.gone], len(sessions))

    def session_url(self, place):
        """Return the URL of the session at a place."""
        return f"/uploads/sessions/{self.model.sessions[place].id}"

    def the_same_again(self, which, what):
        """Send again what made a batch, a session or a file, with the same key."""
        getattr(self, f"_the_same_{what}")(which)

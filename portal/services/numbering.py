"""The numberer: numbers events in a loop of its own, so that nothing that is handed out or sent holds a reader up."""

import logging

from django.db import Error as AnyDatabaseError
from django.db import close_old_connections, connections

from portal.exceptions import PortalError
from portal.services.events import number_events

logger = logging.getLogger("portal.numbering")

#: How often it looks for events that are committed and have no number.
POLL_SECONDS = 0.25
LONGEST_PAUSE = 30


class Numberer:
    """Numbers what there is until it is told to stop; a fault of the database is waited out."""

    def __init__(self, *, stopped, numbered=lambda: None):
        #: `stopped(seconds)` waits and is true when a stop is asked for; `numbered()` is called for each block.
        self.stopped, self.numbered = stopped, numbered
        self._pause = POLL_SECONDS

    def run(self):
        """Work until a stop is asked for; the block that is under way is brought to its end."""
        while not self.stopped(self._pause):
            self.round()
        connections.close_all()

    def round(self):
        """Number all that there is now, block by block; return False when a fault of the database ended it early."""
        close_old_connections()
        try:
            while number_events():
                self.numbered()
                if self.stopped(0):
                    break
        except (PortalError, AnyDatabaseError) as error:
            logger.warning("numbering waits: %s", error)
            connections.close_all()
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            return False
        self._pause = POLL_SECONDS
        return True

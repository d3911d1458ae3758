"""Put files whose bytes lie durable on record: all of a group in one transaction, or one by one; and read back."""

from django.db import IntegrityError, InterfaceError, OperationalError, connection

from portal.exceptions import DatabaseUnavailable, PathTaken, PortalError, StatusConflict
from portal.models import IngestFile
from portal.services.batches import Overshoot
from portal.services.outcomes import record_whole

#: How often a path that changes under a record is looked at anew.
TRIES = 5


def recorded_together(group, arrivals, keep):
    """Give all an outcome in one transaction.

    Returns False when one of them was refused, or its path was taken meanwhile: nothing was recorded.
    """
    try:
        _commit(group, arrivals, keep)
    except DatabaseUnavailable as error:
        for arrival in arrivals:
            arrival.refuse(error)
    except (PortalError, IntegrityError, Overshoot):
        return False
    except (OperationalError, InterfaceError):
        _read_back(arrivals)
    return True


def record_one(group, arrival, keep):
    """Give one an outcome in a transaction of its own."""
    for _ in range(TRIES):
        try:
            return _commit(group, [arrival], keep)
        except (IntegrityError, StatusConflict):
            # Somebody else took the path since the look.
            if group.batch is None:
                raise
            group.look_at([arrival])
            if not arrival.pending:
                return None
        except PortalError as error:
            return arrival.refuse(error)
        except (OperationalError, InterfaceError):
            return _read_back([arrival])
    return arrival.refuse(PathTaken())


def _commit(group, arrivals, keep):
    for arrival in arrivals:
        arrival.unsure = True
    try:
        files = record_whole(group.owner, group.batch, arrivals, storage=group.storage, keep=keep)
    except (PortalError, IntegrityError, Overshoot):
        for arrival in arrivals:
            arrival.unsure = False
        raise
    for arrival, file in zip(arrivals, files, strict=True):
        arrival.file, arrival.created = file, True


def _read_back(arrivals):
    """The answer to COMMIT may be what was lost: the rows themselves say."""
    connection.close()
    named = IngestFile.objects.filter(storage_key__in=[one.key for one in arrivals])
    found = {file.storage_key: file for file in named}
    for arrival in arrivals:
        arrival.file, arrival.created = found.get(arrival.key), True
        arrival.refuse(DatabaseUnavailable("The file could not be recorded; send it again."))

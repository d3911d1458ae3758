"""The rule of paths for files that come whole: what a file on its path, or a closed batch, makes of an arrival."""

from portal.exceptions import PathTaken, PortalError, StatusConflict
from portal.models import IngestFile
from portal.models.files import DEFAULT_CONTENT_TYPE
from portal.services.batches import TO_CARRY_ON, TO_JOIN, TO_REOPEN, refuse_closed

Status = IngestFile.Status


#: What must not have happened to the batch, by the status of the file on the path.
OPEN_TO = {Status.EXPECTED: TO_CARRY_ON, Status.FAILED: TO_REOPEN}


def decide(arrival, file, batch):
    """Give `arrival`, all of which has come, an outcome if the `file` on its path, or the batch, leaves no other."""
    if file and file.status == Status.STORED and (file.size_bytes, file.sha256) == (arrival.size, arrival.sha256):
        arrival.file = file
    elif file and (file.status not in OPEN_TO or not matches(file, arrival.size, arrival.sha256)):
        arrival.refuse(PathTaken())
    elif arrival.compared:
        arrival.refuse(StatusConflict("The file on this path was deleted at this moment; send it again."))
    else:
        _take_up(arrival, file, batch)


def decide_early(arrival, file, batch):
    """Raise what is certain before the bytes have come; else `arrival` may carry on the `file` on its path, or join."""
    known = arrival.length if arrival.length is not None or not file else file.size_bytes
    if file and (file.status not in OPEN_TO or not matches(file, known)):
        raise PathTaken
    _take_up(arrival, file, batch)
    if arrival.error:
        raise arrival.error


def _take_up(arrival, file, batch):
    arrival.reopens = file
    try:
        if batch is not None:
            refuse_closed(batch, OPEN_TO[file.status] if file else TO_JOIN)
    except PortalError as error:
        arrival.refuse(error)


def matches(file, size, sha256=""):
    """Whether these bytes may carry the file on: any may if it FAILED, those that were declared if it is EXPECTED."""
    return file.status == Status.FAILED or file.is_declared_as(size, sha256)


def choose_type(file, told):
    """Return the content type of what carries `file` on: where nothing is `told` now, what was told before stands."""
    return file.content_type if file.content_type and told == DEFAULT_CONTENT_TYPE else told


def refuse_repeated(batch, path, *, since):
    """Raise PathTaken when the file of `path` was stored at `since` or later: it came before in the same stream."""
    if batch.files.filter(path=path, status=Status.STORED, stored_at__gte=since).exists():
        raise PathTaken("This path came before in the same stream.")

"""The rule of paths for files that come whole: what a file on its path, or a closed batch, makes of an arrival."""

from portal.exceptions import PathTaken, PortalError, StatusConflict
from portal.models import IngestFile
from portal.services.batches import TO_JOIN, TO_REOPEN, refuse_closed

Status = IngestFile.Status


def decide(arrival, file, batch):
    """Give `arrival` an outcome if the `file` on its path (or none), or the batch, leaves no other."""
    if file and file.status == Status.STORED and (file.size_bytes, file.sha256) == (arrival.size, arrival.sha256):
        arrival.file = file
    elif file and file.status != Status.FAILED:
        arrival.refuse(PathTaken())
    elif arrival.compared:
        arrival.refuse(StatusConflict("The file on this path was deleted at this moment; send it again."))
    else:
        arrival.reopens = file
        try:
            if batch is not None:
                refuse_closed(batch, TO_REOPEN if file else TO_JOIN)
        except PortalError as error:
            arrival.refuse(error)


def refuse_repeated(batch, path, *, since):
    """Raise PathTaken when the file of `path` was stored at `since` or later: it came before in the same stream."""
    if batch.files.filter(path=path, status=Status.STORED, stored_at__gte=since).exists():
        raise PathTaken("This path came before in the same stream.")

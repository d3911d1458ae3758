"""The counters of batches for those who watch: one look at who may, and one query for all that are watched."""

from portal import access
from portal.models import UploadBatch


def watch_batch(caller, batch_id, fields):
    """Return `fields` of a batch that the caller may follow as a dict; raises InsufficientScope, NotFound."""
    caller.require(access.READ, access.SERVICE)
    batch = access.get_followed_batch(caller, batch_id)
    return {name: getattr(batch, name) for name in fields}


def read_batches(batch_ids, fields):
    """Return `{id: fields as a dict}` of those batches, in one query; whoever asks has been let in by `watch_batch`."""
    rows = UploadBatch.objects.filter(pk__in=batch_ids).values("id", *fields)
    return {row["id"]: row for row in rows}

"""How a session ends: the transaction that moves session, file, event and counters together, exactly once."""

from django.utils import timezone

from portal.models import IngestFile, UploadSession
from portal.services import outbox
from portal.services.batches import update_batch_counters
from portal.services.transactions import write_transaction
from portal.services.transitions import advance


def record_stored(session, *, sha256, backend, where):
    """Make the file of `session` STORED; raises StatusConflict when the claim in `where` is no longer ours.

    The bytes are durable at `session.object_key` before this is called.
    """
    file = session.file
    with write_transaction():
        advance(session, UploadSession.Status.COMPLETE, where=where, claim_token=None, lease_until=None)
        file.sha256, file.storage_backend, file.storage_key = sha256, backend, session.object_key
        file.stored_at, file.error = timezone.now(), None
        advance(
            file,
            IngestFile.Status.STORED,
            sha256=sha256,
            storage_backend=backend,
            storage_key=session.object_key,
            stored_at=file.stored_at,
            error=None,
        )
        outbox.record_file_uploaded(session, file)
        update_batch_counters(file.batch_id, stored=1, stored_bytes=file.size_bytes)


def record_failed(session, to, *, code, detail, where=None):
    """End `session` with status `to` and its file as FAILED with the error `code`; raises StatusConflict if it moved.

    The bytes stay where they are: from now on they are dead, and `cleanup` removes them.
    """
    file = session.file
    error = {"code": code, "detail": detail}
    with write_transaction():
        advance(session, to, where=where, error=error, claim_token=None, lease_until=None)
        file.error = session.error = error
        advance(file, IngestFile.Status.FAILED, error=error)
        outbox.record_file_failed(session, file)
        update_batch_counters(file.batch_id, failed=1)

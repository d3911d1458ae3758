"""What the storage calls the upload of a session: most have one from the start, a file of one part when it must."""

from django.db.models.functions import Now

from portal.exceptions import SessionClosed, StorageUnavailable
from portal.models import UploadSession
from portal.services.limits import session_lifetime
from portal.services.space import storage_errors, storage_turn
from portal.services.transactions import write_transaction

LOST = "The bytes of this session cannot be found."


def refuse_elsewhere(session, storage):
    """Raise StorageUnavailable for a session that was begun while another storage was set: its bytes are there."""
    if not (storage.locks or session.object_key):
        raise StorageUnavailable(LOST)


def ensure_upload(session_id, *, storage, **columns):
    """Give an open session an upload in the store if it has none, set `columns` with it, and return its id.

    The parts of an upload are nobody's to read before finalize puts them together: its bytes go around what stands at
    the key already, and an old URL is good for nothing once it is finished. Raises SessionClosed.
    """
    session = UploadSession.objects.open().filter(pk=session_id).first()
    if session is None:
        raise SessionClosed
    upload = session.upload_id
    if not upload:
        with storage_turn(storage), storage_errors():
            upload = storage.create_staging(session.staging_key)
    rows = UploadSession.objects.open().filter(pk=session_id, upload_id=session.upload_id)
    with write_transaction():
        kept = rows.update(upload_id=upload, expires_at=Now() + session_lifetime(), **columns)
    if kept:
        return upload
    if upload != session.upload_id:
        with storage_turn(storage), storage_errors():
            storage.remove_staging(session.staging_key, upload=upload)
    # Somebody else was faster, or the session was closed.
    return ensure_upload(session_id, storage=storage, **columns)

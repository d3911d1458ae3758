"""Who may see and do what: the only module that decides tenancy, for every door alike."""

from dataclasses import dataclass
from typing import Any

from portal.exceptions import InsufficientScope, NotFound
from portal.models import Endpoint, IngestFile, OutboxEvent, UploadBatch, UploadSession
from portal.models.looks import once
from portal.models.prepared_rows import find_row
from portal.models.sessions import FIND_GRID, FIND_SESSION, GRID_FIELDS

UPLOAD, READ, DELETE, SERVICE = "upload", "read", "delete", "service"
#: What each scope allows, in the order in which people read them.
SCOPES = {
    UPLOAD: "create batches and sessions, send parts, finalize, abort",
    READ: "see one's own batches, files and sessions",
    DELETE: "remove one's own files",
    SERVICE: "read every owner's files and events (for the runner; given by operators)",
}
DEFAULT_SCOPES = (UPLOAD, READ, DELETE)


@dataclass(frozen=True)
class Caller:
    """Who asks: a user, and what the token or the browser session that came with the request allows."""

    user: Any
    scopes: frozenset[str]

    def require(self, *scopes):
        """Refuse with InsufficientScope unless the caller has one of `scopes`."""
        if self.scopes.isdisjoint(scopes):
            raise InsufficientScope(f"This needs a token with the scope {' or '.join(scopes)}.")

    # DRF and its schema look at these two of a user.
    is_authenticated = True
    is_active = True


def session_caller(user):
    """Return the caller behind a browser session: the owner's scopes, never `service`."""
    return Caller(user=user, scopes=frozenset(DEFAULT_SCOPES))


def _one(queryset, pk):
    row = queryset.filter(pk=pk).first()
    if row is None:
        raise NotFound
    return row


def batches_of(caller):
    """Return the batches that `caller` may see."""
    return UploadBatch.objects.owned_by(caller.user)


def files_of(caller):
    """Return the files that `caller` may see: its own, or everybody's with the scope `service`."""
    return IngestFile.objects.all() if SERVICE in caller.scopes else IngestFile.objects.owned_by(caller.user)


def sessions_of(caller):
    """Return the sessions that `caller` may see; those of a deleted file are gone for everybody."""
    return UploadSession.objects.owned_by(caller.user).filter(file__isnull=False)


def events_of(caller):
    """Return the events that `caller` may read: of its own files and batches, or everybody's with `service`."""
    return OutboxEvent.objects.all() if SERVICE in caller.scopes else OutboxEvent.objects.owned_by(caller.user)


def endpoints_of(caller):
    """Return the endpoints that `caller` has made."""
    return Endpoint.objects.owned_by(caller.user)


def get_endpoint(caller, endpoint_id):
    """Return the endpoint, or raise NotFound if it is not there or not the caller's."""
    return _one(endpoints_of(caller), endpoint_id)


def get_event(caller, event_id):
    """Return the event, or raise NotFound if it is not there, not the caller's to read, or has no number yet."""
    return _one(events_of(caller).filter(seq__isnull=False), event_id)


def get_own_event(caller, event_id):
    """Return the event, or raise NotFound unless it is of the caller's own; `service` reads, it sends nothing."""
    return _one(OutboxEvent.objects.owned_by(caller.user).filter(seq__isnull=False), event_id)


def get_batch(caller, batch_id):
    """Return the batch, or raise NotFound if it is not there or not the caller's."""
    batch = once(_find_batch, batch_id, caller.user.id)
    if batch is None:
        raise NotFound
    return batch


def _find_batch(batch_id, owner_id):
    return find_row(UploadBatch, id=batch_id, owner_id=owner_id)


def get_followed_batch(caller, batch_id):
    """Return the batch whose events and counters are read: of the caller's own, or anybody's with `service`."""
    return _one(UploadBatch.objects.all() if SERVICE in caller.scopes else batches_of(caller), batch_id)


def get_file(caller, file_id):
    """Return the file, or raise NotFound if it is not there or not the caller's to see."""
    return _one(files_of(caller), file_id)


def get_own_file(caller, file_id):
    """Return the file, or raise NotFound unless it is the caller's own: `service` reads, it changes nothing."""
    return _one(IngestFile.objects.owned_by(caller.user), file_id)


def get_session(caller, session_id):
    """Return the session with its file, or raise NotFound if it is not there or not the caller's."""
    for session, file in FIND_SESSION.objects(UploadSession, IngestFile, id=session_id, owner_id=caller.user.pk):
        session.file = file
        return session
    raise NotFound


def get_session_grid(caller, session_id):
    """Return the session with no more loaded than a part needs, or raise NotFound as get_session does."""
    for row in FIND_GRID.rows(id=session_id, owner_id=caller.user.pk):
        return UploadSession.from_db(None, GRID_FIELDS, row)
    raise NotFound

"""The one module that deletes bytes, and ends what was left alone.

Bytes that a row calls dead go at once. Bytes that no row names go by age, by way of the trash.
"""

import logging
from datetime import timedelta
from itertools import takewhile

from django.db.models.functions import Now

from portal.exceptions import PortalError, StatusConflict, StorageUnavailable
from portal.models import IdempotencyKey, IngestFile, UploadSession
from portal.services.outcomes import record_failed
from portal.services.space import storage_errors, storage_turn
from portal.services.transactions import write_transaction

logger = logging.getLogger("portal.cleanup")

BLOCK = 100
#: A day: longer than any opening or finalize can take between making bytes and naming them.
UNNAMED_AGE_SECONDS = 24 * 3600
#: A sweep that wants more than this at once is more likely wrong than right.
SWEEP_LIMIT, SWEEP_SHARE = 1000, 0.05
IDEMPOTENCY_KEPT = timedelta(hours=48)


def expire_sessions(*, storage, limit=BLOCK):
    """End up to `limit` open sessions that were left alone past their lifetime; return how many."""
    expired = 0
    overdue = UploadSession.objects.overdue().select_related("file__owner").order_by("expires_at")
    for session in overdue[:limit]:
        try:
            # A part may have come in after the list was read: the condition is asked again in the UPDATE.
            record_failed(
                session,
                UploadSession.Status.EXPIRED,
                code="expired",
                detail="The session was left alone for longer than its lifetime.",
                where={"expires_at__lte": Now()},
            )
        except StatusConflict:
            continue
        expired += 1
        remove_bytes(session, storage=storage)
    return expired


def remove_bytes(session, *, storage, to_trash=False):
    """Remove the bytes of a dead session from both its places; a fault leaves them for the next round.

    Nothing is unlinked before the row is read back as dead; a failed file that may hold evidence goes `to_trash`.
    """
    row = UploadSession.objects.dead().filter(pk=session.pk).first()
    if row is None:
        return
    remove_staging = storage.trash_staging if to_trash else storage.remove_staging
    remove_object = storage.trash_object if to_trash else storage.remove_object
    try:
        with storage_turn(storage), storage_errors():
            remove_staging(row.staging_key, upload=row.upload_id)
            if row.object_key:
                remove_object(row.object_key)
    except PortalError:
        logger.warning("bytes of session %s stay for now", row.pk)
        return
    if row.file_id is None:
        UploadSession.objects.filter(pk=row.pk, file__isnull=True).delete()
    else:
        # Unless the file was deleted meanwhile: then the next round removes the row.
        UploadSession.objects.filter(pk=row.pk, file__isnull=False).update(bytes_removed=True)


def discard_object(key, *, storage):
    """Remove an object that no row names and none will; after a fault it is left to the sweep."""
    try:
        with storage_turn(storage), storage_errors():
            storage.remove_object(key)
    except PortalError:
        logger.warning("object %s stays for now", key)


def remove_dead_bytes(*, storage, stopped=lambda: False):
    """Remove what earlier rounds, or processes that died, left of dead sessions; return how many were looked at.

    Once `stopped()` is true, no more are.
    """
    looked_at, last = 0, None
    while True:
        block = UploadSession.objects.dead().filter(bytes_removed=False).order_by("id")
        block = list((block.filter(pk__gt=last) if last else block)[:BLOCK])
        for session in block:
            if stopped():
                return looked_at
            remove_bytes(session, storage=storage)
            looked_at += 1
        if len(block) < BLOCK:
            return looked_at
        last = block[-1].pk


def sweep_unnamed(*, storage, older_than=UNNAMED_AGE_SECONDS, stopped=lambda: False):
    """Move bytes that no row names and that are `older_than` seconds to the trash; empty the trash of older ones.

    Returns how many were moved; once `stopped()` is true, no more are. Refuses with StorageUnavailable when it would
    take suspiciously many.
    """
    moved, refused = 0, None
    with storage_errors():
        for kind in ("staging", "objects"):
            try:
                moved += _sweep_kind(kind, storage, older_than, stopped)
            except StorageUnavailable as error:
                refused = error
        for name in _until(stopped, storage.old_keys("trash", older_than_seconds=older_than)):
            storage.purge_trash(name)
    if refused:
        raise refused
    return moved


def _sweep_kind(kind, storage, older_than, stopped):
    # Listed before the database is asked: a row that is committed later names younger bytes.
    unnamed, allowed = [], None
    for key in find_unnamed(kind, storage=storage, older_than=older_than, stopped=stopped):
        unnamed.append(key)
        if len(unnamed) > (allowed or SWEEP_LIMIT):
            # A count takes as long as a listing, so it is made once, and only when it matters.
            allowed = allowed or max(SWEEP_LIMIT, SWEEP_SHARE * storage.count_keys(kind))
            if len(unnamed) > allowed:
                raise StorageUnavailable(f"Refused: over {SWEEP_LIMIT} of {kind} are named by no row.")
    move, moved = storage.trash_staging if kind == "staging" else storage.trash_object, 0
    for key in _until(stopped, unnamed):
        age = storage.age_seconds(kind, key)
        if age is not None and age > older_than and not _named(kind, [key], storage):
            move(key)
            moved += 1
    return moved


def find_unnamed(kind, *, storage, older_than, stopped=lambda: False):
    """Yield keys of "staging" or "objects" that are `older_than` seconds and that no row names, until `stopped()`."""
    for keys in _blocks(_until(stopped, storage.old_keys(kind, older_than_seconds=older_than))):
        yield from sorted(set(keys) - _named(kind, keys, storage))


def drop_old_idempotency_keys():
    """Delete idempotency keys past the time for which they are kept; return how many."""
    old = IdempotencyKey.objects.filter(created_at__lt=Now() - IDEMPOTENCY_KEPT)
    with write_transaction():
        return IdempotencyKey.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:1000])).delete()[0]


def _named_staging(keys):
    """Return those of the staging `keys` whose session is alive, or dead with its bytes still to be removed."""
    by_id = {key.split("/")[-1]: key for key in keys}
    rows = UploadSession.objects.filter(pk__in=list(by_id)).exclude(status=UploadSession.Status.COMPLETE)
    return {by_id[pk.hex] for pk in rows.filter(bytes_removed=False).values_list("pk", flat=True)}


def _named_objects(keys, storage):
    """Return those of the object `keys` in `storage` that a session or a file names."""
    sessions = UploadSession.objects.filter(object_key__in=keys, bytes_removed=False)
    # Of a COMPLETE one the file says where the bytes are: they may have been moved. Asked for first, since one that
    # becomes COMPLETE in between has a STORED file by then.
    sessions = sessions.exclude(status=UploadSession.Status.COMPLETE, file__isnull=False)
    files = IngestFile.objects.filter(storage_key__in=keys, storage_backend=storage.backend)
    return set(sessions.values_list("object_key", flat=True)) | set(files.values_list("storage_key", flat=True))


def _named(kind, keys, storage):
    return _named_staging(keys) if kind == "staging" else _named_objects(keys, storage)


def _until(stopped, items):
    return takewhile(lambda _: not stopped(), items)


def _blocks(items):
    block = []
    for item in items:
        block.append(item)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block

"""The one place where a status is written: compare-and-set, so that each move happens once on any database."""

from django.db import connection
from django.db.models import BigIntegerField, Case, DurationField, F, IntegerField, Value, When
from django.db.models.functions import Now

from portal.exceptions import SessionClosed, StatusConflict
from portal.models import Delivery, IngestFile, UploadSession
from portal.models.prepared import Prepared, Slot, slots
from portal.models.prepared_rows import insert_rows, update_row

#: So many rows are moved by one statement.
BLOCK = 200

_COUNT_PART = Prepared(
    lambda: (
        UploadSession.objects.open().filter(**slots(UploadSession, "id")),
        {
            "status": UploadSession.Status.IN_PROGRESS,
            "completed_parts": F("completed_parts") + Slot("count", IntegerField()),
            "received_bytes": F("received_bytes") + Slot("size", BigIntegerField()),
            "expires_at": Now() + Slot("lifetime", DurationField()),
        },
    )
)


def advance(row, to, *, where=None, **fields):
    """Move `row` to status `to` and set `fields` with it, or raise StatusConflict and change nothing.

    `where` says what else must hold at that moment, such as the claim's token: `{column: value or expression}`.
    """
    seen = row.status
    if to not in row.TRANSITIONS[seen]:
        raise StatusConflict(f"{row} cannot become {to}.")
    if not _compare_and_set(row, where, status=to, status_at=Now(), **fields):
        raise StatusConflict(f"{row} changed while you were looking.")
    row.status = to


def advance_together(rows, to, *, where=None, **fields):
    """Do what `advance` does for many rows of one model, all or none, in few statements; only inside a transaction."""
    if len(rows) == 1:
        return advance(rows[0], to, where=where, **fields)
    hold_rows(type(rows[0]), [row.pk for row in rows])
    return advance_held(rows, to, where=where, **fields)


def advance_held(rows, to, *, where=None, each=None, **fields):
    """Do what `advance_together` does for rows that `hold_rows` holds already.

    `each` is `(column, {primary key: value})`: what differs from row to row.
    """
    rows = sorted(rows, key=lambda row: row.pk)
    for start in range(0, len(rows), BLOCK):
        _advance_block(rows[start : start + BLOCK], to, where, each, fields)


def hold_rows(model, keys):
    """Return the rows of these keys, as they stay until the transaction ends; SQLite has one writer, which this is.

    In the order of the keys, so that two who want the same ones wait for each other instead of both.
    """
    return list(model.objects.filter(pk__in=keys).order_by("pk").select_for_update())


def _advance_block(rows, to, where, each, fields):
    model = type(rows[0])
    for seen in sorted({row.status for row in rows}):
        if to not in model.TRANSITIONS[seen]:
            raise StatusConflict(f"What is {seen} cannot become {to}.")
        keys = [row.pk for row in rows if row.status == seen]
        if each:
            column, values = each
            field = model._meta.get_field(column)
            fields[column] = Case(*(When(pk=pk, then=Value(values[pk], field)) for pk in keys), output_field=field)
        hit = model.objects.filter(**(where or {}), pk__in=keys, status=seen)
        if hit.update(status=to, status_at=Now(), **fields) != len(keys):
            raise StatusConflict("A row changed while you were looking.")
    for row in rows:
        row.status = to


def insert_stored(files):
    """Insert new rows of files, whose bytes are durable, as STORED; raises IntegrityError where a path is taken."""
    _insert(files, IngestFile.Status.STORED)


def insert_expected(files):
    """Insert new rows of files that were declared as EXPECTED; raises IntegrityError where a path is taken."""
    _insert(files, IngestFile.Status.EXPECTED)


def _insert(files, status):
    # In the order of their paths, so that two who insert the same ones wait for each other instead of both.
    files = sorted(files, key=lambda file: file.path or "")
    for file in files:
        file.status = status
    insert_rows(files)


def tell_digest(row, sha256):
    """Put the SHA-256 of a file, or of its session, on record while it has the status that was seen, and none yet.

    Raises StatusConflict otherwise.
    """
    if not _compare_and_set(row, {"declared_sha256": ""}, declared_sha256=sha256):
        raise StatusConflict(f"{row} changed while you were looking.")


def update_claimed(row, token, **fields):
    """Set `fields` of a row whose claim is still `token` and whose status that was seen; return False if not."""
    return _compare_and_set(row, {"claim_token": token}, **fields)


def deliver_claimed(pairs):
    """Move claimed deliveries to DELIVERED in one statement, each while its claim is still its own.

    `pairs` are of a delivery and its history as it is then. Return the keys of those that moved; what somebody else has
    claimed by now is left to them.
    """
    if not pairs:
        return set()
    fields = [Delivery._meta.get_field(name) for name in ("id", "claim_token", "history")]
    values = [
        field.get_db_prep_value(value, connection)
        for row, history in pairs
        for field, value in zip(fields, (row.pk, row.claim_token, history), strict=True)
    ]
    now, _ = Delivery.objects.all().query.get_compiler(connection=connection).compile(Now())
    with connection.cursor() as cursor:
        cursor.execute(DELIVER_CLAIMED.format(now=now, rows=", ".join(["(%s, %s, %s)"] * len(pairs))), values)
        moved = {fields[0].to_python(pk) for (pk,) in cursor.fetchall()}
    for row, _ in pairs:
        if row.pk in moved:
            row.status = Delivery.Status.DELIVERED
    return moved


#: An UPDATE for each costs fifteen times as much CPU.
DELIVER_CLAIMED = """\
UPDATE portal_delivery
SET status = 'DELIVERED', status_at = {now}, due_at = NULL, claim_token = NULL, attempts = attempts + 1,
    history = ours.column3
FROM (VALUES {rows}) AS ours
WHERE id = ours.column1 AND claim_token = ours.column2 AND status = 'PENDING'
RETURNING id
"""


def remove_rows(rows, *, where=None):
    """Delete `rows` of one model while each has the status that was seen, or raise StatusConflict and delete none.

    Only inside a transaction. Django's delete() looks first and then deletes by key alone, so the rows are written
    first: from then on they are held as they were seen.
    """
    model = type(rows[0])
    for status in sorted({row.status for row in rows}):
        seen = [row.pk for row in rows if row.status == status]
        held = model.objects.filter(**(where or {}), pk__in=seen, status=status)
        if held.update(status_at=Now()) != len(seen):
            raise StatusConflict("A row changed while you were looking.")
    model.objects.filter(pk__in=[row.pk for row in rows]).delete()


def record_part_in(session_id, *, size, lifetime, count=1):
    """Count one part, or several, of `size` bytes into the session and move its end on by `lifetime`, while it is open.

    Raises SessionClosed otherwise; called inside the transaction that inserts the part, which then rolls back. This
    one UPDATE both counts the part and keeps the session open until the commit.
    """
    if not _COUNT_PART.write(id=session_id, size=size, count=count, lifetime=lifetime):
        raise SessionClosed


def raise_fence(session_id):
    """Count one more writer that found unrecorded data, while the session is open; raises SessionClosed otherwise.

    Its commit waits for any transaction that still holds the session's row (PostgreSQL), and overwrites the tail
    that a killed writer left in the WAL (SQLite): whatever that writer sent has landed, or never will.
    """
    if not UploadSession.objects.open().filter(pk=session_id).update(fence=F("fence") + 1):
        raise SessionClosed


def _compare_and_set(row, where, **fields):
    return update_row(type(row), {"id": row.pk, "status": row.status} | (where or {}), fields)

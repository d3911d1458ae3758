"""Situations that time and faults bring about, made by hand: ends that have come, old bytes, calls that fail."""

import contextlib
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from portal.models import Delivery, OutboxEvent, UploadBatch, UploadSession
from portal.services.reconcile import find_drift
from portal.services.usage import find_usage_drift

A_DAY = 24 * 3600
#: What the ORM and SQLite say around a transaction; it costs no look at a table.
BRACKETS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
WRITES = ("INSERT", "UPDATE", "DELETE")


def set_columns(row, **columns):
    """Write columns of `row` past all rules, and read it anew."""
    type(row).objects.filter(pk=row.pk).update(**columns)
    row.refresh_from_db()
    return row


def let_lifetime_end(session):
    """The session was left alone for too long, by the database's clock."""
    return set_columns(session, expires_at=Now() - timedelta(seconds=1))


def let_lease_end(session):
    """Whoever finalizes the session was silent for too long, by the database's clock."""
    return set_columns(session, lease_until=Now() - timedelta(seconds=1))


def make_old(storage, kind, key, seconds=A_DAY + 1):
    """The bytes of `key` have lain there for so long."""
    storage.files[kind][key].changed -= seconds


def make_delivery(event, endpoint, *, made, ended, status="DELIVERED"):
    """Return a delivery that was made, and has come into its status, so many days ago."""
    row = Delivery(
        pk=UUID(int=uuid7().int - (made * A_DAY * 1000 << 80)), event=event, endpoint=endpoint, status=status
    )
    row.due_at = timezone.now() if status == "PENDING" else None
    row.save(force_insert=True)
    return set_columns(row, status_at=Now() - timedelta(days=ended))


def failing(error):
    """Return a function that raises `error` whatever it is called with."""

    def fail(*_args, **_options):
        raise error

    return fail


def counters(batch):
    """Return `(total, stored, failed, pending)` of a batch as its row says now."""
    row = UploadBatch.objects.get(pk=batch.pk)
    return row.total_files, row.stored_count, row.failed_count, row.pending_count


def event_types():
    """Return the types of all events, in the order in which they were written."""
    return list(OutboxEvent.objects.order_by("id").values_list("event_type", flat=True))


def session_row(session):
    """Return the session as its row says now."""
    return UploadSession.objects.get(pk=session.pk)


def stored_bytes(storage, file):
    """Return the bytes of a STORED file."""
    with storage.open_object(file.storage_key) as stored:
        return stored.read(0, stored.size)


def staged(storage, session):
    """Return the bytes of the session's staging file."""
    return bytes(storage.files["staging"][session.staging_key].data)


def progress(session):
    """Return `(parts on record, completed_parts, received_bytes)` as the rows say now."""
    row = session_row(session)
    return row.parts.count(), row.completed_parts, row.received_bytes


def drift():
    """Return every counter, of batches and of owners, that differs from its rows."""
    return [*find_drift(), *find_usage_drift()]


def listeners():
    """Return the process ids of the connections that listen to this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
        return [pid for (pid,) in cursor.fetchall()]


@contextlib.contextmanager
def seen_queries():
    """Give a list that holds, afterwards, the SQL of the block without the brackets of transactions."""
    queries = []
    with CaptureQueriesContext(connection) as captured:
        yield queries
    queries += [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(BRACKETS)]


@contextlib.contextmanager
def seen_transactions():
    """Give a list that holds, afterwards, the writing SQL of each transaction of the block, in order."""
    transactions = [[]]
    with CaptureQueriesContext(connection) as captured:
        yield transactions
    for query in captured.captured_queries:
        if query["sql"].startswith(WRITES):
            transactions[-1].append(query["sql"])
        elif query["sql"].startswith(("RELEASE", "COMMIT")):
            transactions.append([])
    transactions[:] = [statements for statements in transactions if statements]


def just_before(monkeypatch, place, name, action):
    """The first time that `place.name` is called, `action()` happens first: somebody else was faster."""
    original = getattr(place, name)

    def faster(*args, **options):
        monkeypatch.setattr(place, name, original)
        action()
        return original(*args, **options)

    monkeypatch.setattr(place, name, faster)


def just_after(monkeypatch, place, name, action):
    """The first time that `place.name` has been called, `action()` happens before its caller goes on."""
    original = getattr(place, name)

    def slower(*args, **options):
        monkeypatch.setattr(place, name, original)
        result = original(*args, **options)
        action()
        return result

    monkeypatch.setattr(place, name, slower)


def plans_of(action):
    """Do `action` and return how the database finds what each SELECT of it asks for, a text for each."""
    plain = connection.vendor == "postgresql"
    with transaction.atomic():
        with CaptureQueriesContext(connection) as captured:
            action()
        texts = []
        for asked in (query["sql"] for query in captured.captured_queries):
            if asked.startswith("SELECT"):
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN {'' if plain else 'QUERY PLAN'} {asked.replace('%', '%%')}")
                    texts.append("\n".join(str(row[0] if plain else row[3]) for row in cursor.fetchall()))
    return texts

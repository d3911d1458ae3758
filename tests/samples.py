"""People, batches, sessions and files to test services with: the whole way by the services themselves."""

import hashlib
from itertools import repeat

from django.contrib.auth import get_user_model
from django.db import connection

from portal.access import DEFAULT_SCOPES, Caller
from portal.services.batches import create_batch
from portal.services.finalize import finalize_session
from portal.services.parts import begin_part
from portal.services.sessions import create_session
from portal.services.tokens import create_token

CHUNK = 64 * 1024


def make_caller(name, *scopes):
    """Return the Caller of the user `name`, made if need be; with the scopes that people have by default."""
    user, _ = get_user_model().objects.get_or_create(username=name)
    return Caller(user=user, scopes=frozenset(scopes or DEFAULT_SCOPES))


def make_token(caller, **options):
    """Return a token of `caller` as text."""
    options.setdefault("scopes", sorted(caller.scopes))
    return create_token(caller.user, **options)[1]


def pattern(size, seed=0):
    """Return `size` bytes that differ from place to place and from seed to seed."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def make_batch(caller, **fields):
    """Return a new batch."""
    return create_batch(caller, **fields)


def open_session(caller, storage, *, size=1, **fields):
    """Return a new session; chunks are 64 KiB unless `chunk_size_bytes` is given. `batch` may stand for its id."""
    batch = fields.pop("batch", None)
    fields = {"original_filename": "a.bin", "chunk_size_bytes": CHUNK} | fields
    if batch is not None:
        fields["batch_id"] = batch.pk
    return create_session(caller, total_size_bytes=size, storage=storage, **fields)


def send_part(caller, storage, session, number, data):
    """Store one part and return its answer; raises what the service raises, and PartBusy's cousin as AssertionError."""
    writer = begin_part(caller, session.pk, number, len(data), storage=storage)
    try:
        assert writer.recorded or writer.acquire(), "another writer holds the range"
        writer.write(data)
        writer.sync()
        return writer.record()
    finally:
        writer.close()


def send_parts(caller, storage, session, data):
    """Store all parts of `data`, in order."""
    for number in range(1, session.total_parts + 1):
        start = (number - 1) * session.chunk_size_bytes
        send_part(caller, storage, session, number, data[start : start + session.chunk_size_bytes])


def ready_session(caller, storage, data=b"data", **fields):
    """Return a session with all its parts, to be finalized."""
    session = open_session(caller, storage, size=len(data), **fields)
    send_parts(caller, storage, session, data)
    session.refresh_from_db()
    return session


def store_file(caller, storage, data=b"data", **fields):
    """Return a STORED file with these bytes."""
    return finalize_session(ready_session(caller, storage, data, **fields), storage=storage)


def insert_copies(row, count, **columns):
    """Insert `count` copies of `row`, which is not saved, each with an id of its own; return their ids, in order.

    `columns` has lists of what else differs, by attribute. What is the same is made for the database once, where
    bulk_create makes it for each of ten thousand rows.
    """
    given = {field: field.pre_save(row, True) for field in row._meta.concrete_fields if not field.generated}
    same = {field: value for field, value in given.items() if not hasattr(value, "resolve_expression")}
    values = {field: repeat(field.get_db_prep_save(value, connection), count) for field, value in same.items()}
    ids = [row._meta.pk.get_default() for _ in range(count)]
    for name, own in {row._meta.pk.attname: ids, **columns}.items():
        field = next(field for field in given if field.attname == name)
        values[field] = [field.get_db_prep_save(value, connection) for value in own]
    table, names = row._meta.db_table, ", ".join(f'"{field.column}"' for field in values)
    rows = zip(*values.values(), strict=True)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
                for each in rows:
                    copy.write_row(each)
        else:
            marks = ", ".join(["%s"] * len(values))
            cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(rows))
    return ids

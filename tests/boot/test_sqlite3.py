"""Our SQLite backend gives what Django's gives."""

import copy
import pickle
import sqlite3
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db.backends.sqlite3.base import DatabaseWrapper as DjangoWrapper
from django.db.backends.sqlite3.base import SQLiteCursorWrapper

from boot.sqlite3.base import Cursor, DatabaseWrapper

SETTINGS = {"NAME": ":memory:", "TIME_ZONE": None, "OPTIONS": {}, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
OURS, DJANGOS = (
    kind(SETTINGS | {"AUTOCOMMIT": True, "ATOMIC_REQUESTS": False}) for kind in (DatabaseWrapper, DjangoWrapper)
)
MOMENTS = ["2026-11-25 15:23:17.205000", "2026-11-25 15:23:17.205", "2026-11-25 15:23:17", "1970-01-01 00:00:00"]
IDS = ["01a2134dd2a7756daaea2bc94e6ea8a3", "0" * 32, "f" * 32]


@pytest.mark.parametrize(
    "value",
    [*MOMENTS, None, datetime(2026, 11, 25, tzinfo=UTC).replace(tzinfo=None), datetime(2026, 11, 25, tzinfo=UTC)],
)
def test_times_are_those_of_django(value):
    ours, djangos = (each.ops.convert_datetimefield_value(value, None, each) for each in (OURS, DJANGOS))
    assert ours == djangos
    assert type(ours) is type(djangos)
    assert value is None or ours.utcoffset() == timedelta(0)


@pytest.mark.parametrize("value", [*IDS, None])
def test_ids_are_those_of_django_in_every_way(value):
    ours, djangos = (each.ops.convert_uuidfield_value(value, None, each) for each in (OURS, DJANGOS))
    assert ours == djangos
    assert type(ours) is type(djangos)
    if value is not None:
        assert (str(ours), hash(ours), ours.bytes, ours.is_safe) == (
            str(djangos),
            hash(djangos),
            djangos.bytes,
            djangos.is_safe,
        )
        assert pickle.loads(pickle.dumps(ours)) == copy.deepcopy(ours) == UUID(value)


@pytest.mark.parametrize(
    ("query", "params"),
    [("SELECT %s, 'a%%b', %s", (1, "%s")), ("SELECT '%%%%s'", ()), ("SELECT %(a)s", {"a": 1}), ("SELECT '%%s'", None)],
)
def test_statements_mean_what_they_mean_to_django(query, params):
    connection = sqlite3.connect(":memory:")
    ours, djangos = (connection.cursor(factory=kind) for kind in (Cursor, SQLiteCursorWrapper))
    expected = djangos.execute(query, params).fetchall()
    for _ in range(2):
        assert ours.execute(query, params).fetchall() == expected
    connection.close()

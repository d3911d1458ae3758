"""Whole rows by prepared statements: one is found, new ones are inserted."""

from functools import cache

from django.db import connection

from portal.models.prepared import Prepared, Slot, attnames, slots


@cache
def _inserting(model):
    return Prepared(lambda: model(**slots(model)))


@cache
def _finding(model, columns):
    return Prepared(lambda: model.objects.filter(**slots(model, *columns)).values_list(*attnames(model)))


@cache
def _finding_any(model, column, count, columns):
    field = model._meta.get_field(column)
    wanted = {f"{column}__in": [Slot(f"any{number}", field) for number in range(count)]}
    return Prepared(lambda: model.objects.filter(**slots(model, *columns), **wanted).values_list(*attnames(model)))


def find_row(model, **values):
    """Return the row of `model` whose columns (by attname) have these values, which one at most has; else None."""
    for row in _finding(model, tuple(values)).rows(**values):
        return model.from_db(connection.alias, attnames(model), row)
    return None


def find_rows(model, column, values, *others):
    """Return the rows of `model` whose `column` has one of `values`, and which have the `others`, `(attname, value)`.

    For any number of values: the last one fills up the next power of two, so that there are few statements.
    """
    count = 1 << (len(values) - 1).bit_length()
    statement = _finding_any(model, column, count, tuple(name for name, _ in others))
    wanted = {f"any{number}": values[min(number, len(values) - 1)] for number in range(count)}
    found = statement.rows(**wanted, **dict(others))
    return [model.from_db(connection.alias, attnames(model), row) for row in found]


def insert_rows(rows):
    """Insert new rows of one model that have all their values; raises IntegrityError.

    Only inside a transaction, if they are several.
    """
    if not rows:
        return
    names = attnames(type(rows[0]))
    insert_values(type(rows[0]), [{name: getattr(row, name) for name in names} for row in rows])
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def insert_values(model, rows):
    """Insert new rows of `model`, each `{attname: value}` with all columns; otherwise as `insert_rows`."""
    statement = _inserting(model)
    if len(rows) == 1:
        statement.write(**rows[0])
    else:
        statement.write_each(rows)

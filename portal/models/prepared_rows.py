"""Whole rows by prepared statements: one is found, new ones are inserted."""

from functools import cache, lru_cache

from django.db import DEFAULT_DB_ALIAS
from django.db.models.base import ModelState

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


#: Marks, in the form of a statement, a value that each call gives.
_GIVEN = object()


@lru_cache(maxsize=256)
def _updating(model, seen, new):
    def slot(kind, name, value):
        return Slot(f"{kind}_{name}", model._meta.get_field(name)) if value is _GIVEN else value

    where, fields = ({name: slot(kind, name, value) for name, value in told} for kind, told in (seen, new))
    return Prepared(lambda: (model.objects.filter(**where), fields))


def find_row(model, **values):
    """Return the row of `model` whose columns (by attname) have these values, which one at most has; else None."""
    for row in _finding(model, tuple(values)).rows(**values):
        return model.from_db(DEFAULT_DB_ALIAS, attnames(model), row)
    return None


def find_rows(model, column, values, *others):
    """Return the rows of `model` whose `column` has one of `values`, and which have the `others`, `(attname, value)`.

    For any number of values: the last one fills up the next power of two, so that there are few statements.
    """
    if not values:
        return []
    count = 1 << (len(values) - 1).bit_length()
    statement = _finding_any(model, column, count, tuple(name for name, _ in others))
    wanted = {f"any{number}": values[min(number, len(values) - 1)] for number in range(count)}
    found = statement.rows(**wanted, **dict(others))
    return [model.from_db(DEFAULT_DB_ALIAS, attnames(model), row) for row in found]


def update_row(model, seen, new):
    """Set `new` of the row of `model` that has all that was `seen`; return whether there is one.

    Both are `{column: value}`. A value may be an expression (F, Now) of the database, which is part of the statement;
    so is a NULL that was seen.
    """
    values, forms = {}, []
    for kind, told in ("seen", seen), ("new", new):
        fixed = {name for name, value in told.items() if _is_fixed(kind, value)}
        values |= {f"{kind}_{name}": value for name, value in told.items() if name not in fixed}
        forms.append((kind, tuple((name, value if name in fixed else _GIVEN) for name, value in told.items())))
    return bool(_updating(model, *forms).write(**values))


def _is_fixed(kind, value):
    return hasattr(value, "resolve_expression") or (value is None and kind == "seen")


def new_row(model, values):
    """Return a new row of `model` from `{attname: value}` of all columns, as a call of the model would make it."""
    row = model.__new__(model)
    row.__dict__ = {"_state": ModelState(), **values}
    return row


def insert_rows(rows):
    """Insert new rows of one model that have all their values; raises IntegrityError.

    Only inside a transaction, if they are several.
    """
    if not rows:
        return
    insert_values(type(rows[0]), [vars(row) for row in rows])
    for row in rows:
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def insert_values(model, rows):
    """Insert new rows of `model`, each `{attname: value}` with all columns (and more); otherwise as `insert_rows`."""
    statement = _inserting(model)
    if len(rows) == 1:
        statement.write(**rows[0])
    else:
        statement.write_each(rows)

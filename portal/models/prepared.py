"""Statements whose SQL Django makes once; each later call only fills in its values.

Making the SQL of a queryset costs ten times what the database needs to run it: nothing to a page, much to a part.
Such a statement is written as a queryset all the same, so that it means the same on every database.
"""

from functools import cache

from django.db import connection
from django.db.models import Value
from django.db.models.sql import InsertQuery, UpdateQuery


class Slot(Value):
    """The place of the value that each call gives as `name`, in the form of `field`."""

    def __init__(self, name, field):
        super().__init__(name, output_field=field)

    def as_sql(self, compiler, connection):
        """Return a placeholder, and this slot as what it holds."""
        return "%s", [self]

    def fill(self, values):
        """Return what goes to the database for this slot."""
        return self.output_field.get_db_prep_value(values[self.value], connection)


def slots(model, *names):
    """Return `{attname: Slot}` for the named columns of `model`, or for all of them."""
    fields = model._meta.concrete_fields
    return {field.attname: Slot(field.attname, field) for field in fields if not names or field.attname in names}


class Prepared:
    """One statement, made from what `build()` returns when it is first needed.

    That is a `values_list` queryset to SELECT, a pair of a queryset and `{field: value}` to UPDATE, or a row of Slots
    to INSERT. `build` holds nothing that changes from call to call but Slots.
    """

    def __init__(self, build):
        self._build = build
        self._made = {}

    def rows(self, **values):
        """Run the SELECT; return its rows, their values as the model's fields give them."""
        with connection.cursor() as cursor:
            converters = self._run(cursor, values)
            return [_convert(row, converters) for row in cursor.fetchall()]

    def write(self, **values):
        """Run the UPDATE or INSERT; return how many rows it hit."""
        with connection.cursor() as cursor:
            self._run(cursor, values)
            return cursor.rowcount

    def _run(self, cursor, values):
        made = self._made.get(connection.vendor)
        if made is None:
            made = self._made[connection.vendor] = _make(self._build())
        sql, params, converters = made
        cursor.execute(sql, [param.fill(values) if isinstance(param, Slot) else param for param in params])
        return converters


@cache
def _inserting(model):
    return Prepared(lambda: model(**slots(model)))


def insert_row(row):
    """Insert a new row that has all its values; raises IntegrityError."""
    _inserting(type(row)).write(**{field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields})
    row._state.adding, row._state.db = False, connection.alias


def _make(built):
    """Return the statement's SQL, its parameters (Slots among them), and how its columns become Python's values."""
    if isinstance(built, tuple):
        rows, fields = built
        query = rows.query.chain(UpdateQuery)
        query.add_update_values(fields)
        return *query.get_compiler(connection=connection).as_sql(), []
    if hasattr(built, "query"):
        compiler = built.query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        converters = compiler.get_converters([column[0] for column in compiler.select])
        return sql, params, [(index, *pair) for index, pair in converters.items()]
    query = InsertQuery(type(built))
    query.insert_values(built._meta.concrete_fields, [built])
    ((sql, params),) = query.get_compiler(connection=connection).as_sql()
    return sql, params, []


def _convert(row, converters):
    row = list(row)
    for index, functions, expression in converters:
        for function in functions:
            row[index] = function(row[index], expression, connection)
    return row

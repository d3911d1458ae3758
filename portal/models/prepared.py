"""Statements whose SQL Django makes once; each later call only fills in its values.

Making the SQL of a queryset costs ten times what the database needs to run it: nothing to a page, much to a part.
Such a statement is written as a queryset all the same, so that it means the same on every database. What stands for the
thread's connection looks for it each time that it is asked for anything: here it is looked for once a statement.
"""

from functools import cache

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.sql import InsertQuery, UpdateQuery

from portal.models.looks import once

#: Fields whose values go to every database as they are; and those of which many rows have the very same one.
PLAIN = (models.CharField, models.IntegerField)
SHARED = (models.UUIDField, models.DateTimeField)


class Slot(models.Value):
    """The place of the value that each call gives as `name`, in the form of `field`."""

    def __init__(self, name, field):
        super().__init__(name, output_field=field)
        target = getattr(field, "target_field", field)
        #: Whether its values go to every database as they are.
        self.plain = isinstance(target, PLAIN)
        self._shared = isinstance(target, SHARED)
        #: The last value, which nobody can change, and what goes to the database for it.
        self._last = None, None

    def as_sql(self, compiler, connection):
        """Return a placeholder, and this slot as what it holds."""
        return "%s", [self]

    def fill(self, value, connection):
        """Return what goes to the database for `value`, which is not None."""
        last, made = self._last
        if last is not value:
            made = self.output_field.get_db_prep_value(value, connection)
            if self._shared:
                self._last = value, made
        return made


def slots(model, *names):
    """Return `{attname: Slot}` for the named columns of `model`, or for all of them."""
    fields = model._meta.concrete_fields
    return {field.attname: Slot(field.attname, field) for field in fields if not names or field.attname in names}


def key_slots(model, count):
    """Return the Slots of so many primary keys of `model`, for `pk__in`; `keys_as_values` fills them."""
    return [Slot(f"key{number}", model._meta.pk) for number in range(count)]


def keys_as_values(keys):
    """Return what a call gives for the Slots of `key_slots`."""
    return {f"key{number}": key for number, key in enumerate(keys)}


class Prepared:
    """One statement, made from what `build()` returns when it is first needed.

    That is a queryset to SELECT, of `values_list` but for `objects`; a pair of a queryset and `{field: value}` to
    UPDATE; or a row of Slots to INSERT. `build` holds nothing that changes from call to call but Slots.
    """

    def __init__(self, build):
        self._build = build
        self._made = {}

    def rows(self, **values):
        """Run the SELECT; return its rows, their values as the model's fields give them."""
        return once(self._select, *values.items())

    def objects(self, *models, **values):
        """Run the SELECT of all columns of `models`; return a list of their objects, or of tuples of them if several.

        Its queryset is one of the first of them; `select_related` has the others.
        """
        made = []
        for row in self.rows(**values):
            found, start = [], 0
            for model in models:
                names = attnames(model)
                found.append(model.from_db(DEFAULT_DB_ALIAS, names, row[start : start + len(names)]))
                start += len(names)
            made.append(tuple(found) if len(models) > 1 else found[0])
        return made

    def write(self, **values):
        """Run the UPDATE or INSERT; return how many rows it hit."""
        here = connections[DEFAULT_DB_ALIAS]
        with here.cursor() as cursor:
            self._run(cursor, values, here)
            return cursor.rowcount

    def write_each(self, rows):
        """Run the UPDATE or INSERT for each of `rows`, `{name: value}`; all or none only inside a transaction."""
        here = connections[DEFAULT_DB_ALIAS]
        sql, blanks, _ = self._ready(here)
        with here.cursor() as cursor:
            cursor.executemany(sql, [blanks.fill(values, here) for values in rows])

    def _select(self, *values):
        here = connections[DEFAULT_DB_ALIAS]
        with here.cursor() as cursor:
            converters = self._run(cursor, dict(values), here)
            return [_convert(row, converters, here) for row in cursor.fetchall()]

    def _run(self, cursor, values, connection):
        sql, blanks, converters = self._ready(connection)
        cursor.execute(sql, blanks.fill(values, connection))
        return converters

    def _ready(self, connection):
        made = self._made.get(connection.vendor)
        if made is None:
            sql, params, converters = _make(self._build(), connection)
            made = self._made[connection.vendor] = sql, Blanks(params), converters
        return made


class Blanks:
    """The parameters of a statement, some of them Slots."""

    def __init__(self, params):
        self._params = list(params)
        found = [(index, param) for index, param in enumerate(params) if isinstance(param, Slot)]
        self._plain = [(index, slot.value) for index, slot in found if slot.plain]
        self._others = [(index, slot.value, slot) for index, slot in found if not slot.plain]

    def fill(self, values, connection):
        """Return the parameters with `{name: value}` in the slots."""
        params = self._params.copy()
        for index, name in self._plain:
            params[index] = values[name]
        for index, name, slot in self._others:
            value = values[name]
            params[index] = None if value is None else slot.fill(value, connection)
        return params


@cache
def attnames(model):
    """Return the names of its columns, as attributes of its objects."""
    return [field.attname for field in model._meta.concrete_fields]


def _make(built, connection):
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


def _convert(row, converters, connection):
    row = list(row)
    for index, functions, expression in converters:
        for function in functions:
            row[index] = function(row[index], expression, connection)
    return row

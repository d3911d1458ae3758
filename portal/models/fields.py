"""What several models share: their key, their owner, and the constraint that holds a status to its choices."""

import orjson
from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7


def id_field():
    """Return a UUIDv7 primary key (RFC 9562): ordered by time of making, so that lists can go by it."""
    return models.UUIDField(primary_key=True, default=uuid7, editable=False)


def owner_field():
    """Return the reference to the user that the row belongs to; it has no index of its own, lists bring theirs."""
    return models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)


class JSONField(models.JSONField):
    """Django's, read by orjson: a page of a list holds hundreds of them. To migrations it is Django's own."""

    def from_db_value(self, value, expression, connection):
        """Return the value of a column's text; nothing of ours asks for a part of it."""
        return None if value is None else orjson.loads(value)

    def deconstruct(self):
        """Return how Django's own field is made."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


def one_of(field, words, *, name):
    """Return the constraint `name` that holds `field` to `words` (parted by blanks) in the database itself.

    The words stand written out beside the choices, since a class's Meta cannot see the class; a test compares them.
    """
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": words.split()}), name=name)


class OwnedQuerySet(models.QuerySet):
    """Rows that belong to somebody."""

    def owned_by(self, user):
        """The rows of `user`."""
        return self.filter(owner_id=user.pk)

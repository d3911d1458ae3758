"""Every list of choices stands in the database too: the words are the same, and no other word gets in."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from portal.models import IngestFile, OutboxEvent, UploadBatch, UploadSession
from tests.samples import make_batch, open_session, store_file


def choice_classes(model):
    """Return the TextChoices that a model holds."""
    return [
        value for value in vars(model).values() if isinstance(value, type) and issubclass(value, models.TextChoices)
    ]


CHOICES = [
    (model, choices) for model in apps.get_app_config("portal").get_models() for choices in choice_classes(model)
]
NAMES = [f"{model.__name__}.{choices.__name__}" for model, choices in CHOICES]


def field_of(model, choices):
    """Return the field that takes its values from `choices`."""
    (field,) = [field for field in model._meta.get_fields() if same_words(field, choices)]
    return field


def same_words(field, choices):
    """Whether the values of a field are those of `choices`."""
    field = getattr(field, "output_field", field)
    return [value for value, _ in getattr(field, "choices", None) or []] == choices.values


def words_of_constraint(model, field):
    """Return the words that a CheckConstraint of the model holds `field` to."""
    conditions = [item.condition for item in model._meta.constraints if isinstance(item, models.CheckConstraint)]
    (words,) = [q.children[0][1] for q in conditions if [child[0] for child in _leaves(q)] == [f"{field.name}__in"]]
    return words


def _leaves(q):
    return [child if isinstance(child, tuple) else ("nested", child) for child in q.children]


def test_every_model_with_a_status_is_looked_at():
    assert set(NAMES) == {
        "UploadBatch.Status",
        "IngestFile.Status",
        "UploadSession.Status",
        "IdempotencyKey.Status",
        "OutboxEvent.Type",
        "Delivery.Status",
        "Endpoint.Status",
    }


@pytest.mark.parametrize(("model", "choices"), CHOICES, ids=NAMES)
def test_the_words_of_the_constraint_are_the_choices(model, choices):
    assert words_of_constraint(model, field_of(model, choices)) == choices.values


@pytest.mark.parametrize(("model", "choices"), CHOICES, ids=NAMES)
def test_the_words_are_as_the_contract_writes_them_and_fit_their_column(model, choices):
    field = field_of(model, choices)
    length = getattr(field, "output_field", field).max_length
    assert all(len(word) <= length for word in choices.values)
    written = str.lower if choices is OutboxEvent.Type else str.upper
    assert all(word == written(word) for word in choices.values)


@pytest.mark.parametrize("model", [IngestFile, UploadSession, OutboxEvent])
@pytest.mark.parametrize("word", ["NONSENSE", "", "stored", "STORED "])
def test_the_database_takes_no_other_word(ann, storage, model, word):
    store_file(ann, storage)
    field = field_of(model, choice_classes(model)[0])
    table = connection.ops.quote_name(model._meta.db_table)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {field.column} = %s", [word])


COUNTED = [
    # expected, total, stored, failed, cancelled
    (None, 0, 0, 0, False, "INIT"),
    (5, 0, 0, 0, False, "INIT"),
    (None, 1, 0, 0, False, "IN_PROGRESS"),
    (None, 3, 1, 1, False, "IN_PROGRESS"),
    (3, 2, 2, 0, False, "IN_PROGRESS"),
    (3, 2, 0, 2, False, "IN_PROGRESS"),
    (2, 3, 2, 0, False, "IN_PROGRESS"),
    (None, 2, 2, 0, False, "COMPLETE"),
    (2, 2, 2, 0, False, "COMPLETE"),
    (1, 2, 2, 0, False, "COMPLETE"),
    (None, 2, 1, 1, False, "PARTIAL"),
    (2, 2, 1, 1, False, "PARTIAL"),
    (None, 2, 0, 2, False, "FAILED"),
    (2, 2, 0, 2, False, "FAILED"),
    (None, 0, 0, 0, True, "CANCELLED"),
    (None, 2, 1, 0, True, "CANCELLED"),
    (2, 2, 2, 0, True, "CANCELLED"),
]


@pytest.mark.parametrize(("expected", "total", "stored", "failed", "cancelled", "status"), COUNTED)
def test_the_status_of_a_batch_follows_from_its_counters(ann, expected, total, stored, failed, cancelled, status):
    batch = make_batch(ann, expected_files=expected)
    UploadBatch.objects.update(
        total_files=total,
        stored_count=stored,
        failed_count=failed,
        cancelled_at=timezone.now() if cancelled else None,
    )
    batch.refresh_from_db()
    assert (batch.status, batch.pending_count) == (status, total - stored - failed)
    assert list(UploadBatch.objects.filter(status=status)) == [batch]


WRONG = [
    (UploadBatch, {"stored_count": -1}),
    (UploadBatch, {"failed_count": -1}),
    (UploadBatch, {"total_files": 0}),
    (UploadBatch, {"stored_bytes": -1}),
    (UploadBatch, {"total_bytes": 3}),
    (IngestFile, {"size_bytes": -1}),
    (IngestFile, {"sha256": ""}),
    (IngestFile, {"storage_key": ""}),
    (UploadSession, {"completed_parts": 2}),
    (UploadSession, {"completed_parts": -1}),
    (UploadSession, {"received_bytes": 5}),
    (UploadSession, {"received_bytes": -1}),
]


@pytest.mark.parametrize(("model", "columns"), WRONG)
def test_the_database_takes_no_row_that_contradicts_itself(ann, storage, model, columns):
    store_file(ann, storage, b"four", batch=make_batch(ann))
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.update(**columns)


def test_two_files_of_a_batch_do_not_have_one_path(ann, storage):
    batch = make_batch(ann)
    open_session(ann, storage, batch=batch, path="a")
    open_session(ann, storage, batch=batch, path="b")
    with pytest.raises(IntegrityError), transaction.atomic():
        IngestFile.objects.update(path="a")

"""Prepared statements mean what their querysets mean, and each call's values are its own."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import DurationField, F
from django.db.models.functions import Now
from django.utils import timezone

from portal.models import ApiToken, IngestFile, UploadBatch, UploadPart, UploadSession, prepared_rows
from portal.models.looks import once, one_look
from portal.models.parts import FIND_PART, INSERT_PART
from portal.models.prepared import Prepared, Slot, key_slots, keys_as_values, slots
from portal.models.prepared_rows import find_row, find_rows, insert_rows, new_row, update_row
from portal.models.tokens import CALLER_FIELDS, FIND_CALLER
from portal.services.tokens import create_token
from tests.samples import make_batch, open_session
from tests.services.situations import seen_queries


def test_a_select_gives_what_the_queryset_gives(ann):
    row, _ = create_token(ann.user, scopes=["read", "upload"])
    ApiToken.objects.update(expires_at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    same = ApiToken.objects.filter(digest=row.digest).values_list(*CALLER_FIELDS).get()
    assert FIND_CALLER.rows(digest=row.digest) == [list(same)]
    assert FIND_CALLER.rows(digest="0" * 64) == []


def test_each_call_has_its_own_values(ann, storage):
    first, second = open_session(ann, storage, size=1), open_session(ann, storage, size=2)
    sizes = Prepared(
        lambda: UploadSession.objects.filter(**slots(UploadSession, "id")).values_list("id", "total_size_bytes")
    )
    assert sizes.rows(id=first.pk) == [[first.pk, 1]]
    assert sizes.rows(id=second.pk) == [[second.pk, 2]]


def test_the_sql_is_made_once(ann, storage):
    built = []

    def build():
        built.append(1)
        return UploadSession.objects.filter(**slots(UploadSession, "id")).values_list("id")

    statement, session = Prepared(build), open_session(ann, storage)
    assert [statement.rows(id=session.pk) for _ in range(3)] == [[[session.pk]]] * 3
    assert built == [1]


def test_an_insert_writes_every_column(ann, storage):
    session = open_session(ann, storage, size=10)
    part = UploadPart(session=session, number=1, size_bytes=10, blake3="b" * 64, sha256="a" * 64, etag="e")
    columns = {name: getattr(part, name) for name in slots(UploadPart)}
    assert INSERT_PART.write(**columns) == 1
    assert UploadPart.objects.values(*columns).get() == columns
    assert FIND_PART.rows(session_id=session.pk, number=1) == [[10, "b" * 64, "e"]]


def test_an_update_reckons_in_the_database_and_says_how_many_rows_it_hit(ann, storage):
    session = open_session(ann, storage)
    later = Prepared(
        lambda: (
            UploadSession.objects.open().filter(**slots(UploadSession, "id")),
            {"fence": F("fence") + 1, "expires_at": Now() + Slot("lifetime", DurationField())},
        )
    )
    assert later.write(id=session.pk, lifetime=timedelta(days=3, microseconds=5)) == 1
    session.refresh_from_db()
    assert session.fence == 1
    assert abs(timezone.now() + timedelta(days=3) - session.expires_at) < timedelta(minutes=1)
    UploadSession.objects.update(status="ABORTED")
    assert later.write(id=session.pk, lifetime=timedelta(0)) == 0


@pytest.mark.parametrize("count", [1, 3])
def test_rows_are_inserted_as_django_inserts_them(ann, count):
    batch = make_batch(ann)
    described = {"owner": ann.user, "batch": batch, "original_filename": "a", "content_type": "x/y", "size_bytes": 9}
    files = [IngestFile(path=f"ours/{number}", metadata={"n": [number]}, **described) for number in range(count)]
    with transaction.atomic():
        insert_rows(files)
    theirs = IngestFile.objects.create(path="theirs", **described)
    for file in files:
        assert IngestFile.objects.get(pk=file.pk).metadata == file.metadata
        file.refresh_from_db()
        assert (file._state.adding, file._state.db) == (theirs._state.adding, theirs._state.db)
    # A column without a value is NULL, not the null of JSON.
    assert IngestFile.objects.filter(error__isnull=True).count() == count + 1


def test_of_several_rows_none_is_inserted_when_one_is_refused(ann):
    batch = make_batch(ann)
    described = {"owner": ann.user, "batch": batch, "original_filename": "a", "content_type": "x/y", "size_bytes": 1}
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows([IngestFile(path=path, **described) for path in ("a", "b", "a", "c")])
    assert not IngestFile.objects.exists()


def test_a_row_is_found_as_django_finds_it(ann):
    batch = make_batch(ann, name="n", metadata={"a": 1}, expected_files=3)
    found = find_row(UploadBatch, id=batch.pk, owner_id=ann.user.pk)
    same = UploadBatch.objects.get(pk=batch.pk)
    assert {name: getattr(found, name) for name in slots(UploadBatch)} == {
        name: getattr(same, name) for name in slots(UploadBatch)
    }
    assert found._state.db == same._state.db
    assert not found._state.adding
    assert find_row(UploadBatch, id=batch.pk, owner_id=ann.user.pk + 1) is None


def test_in_one_look_what_is_asked_alike_is_asked_once(ann):
    batch, other = make_batch(ann), make_batch(ann)
    with seen_queries() as queries, one_look():
        first, second = (find_row(UploadBatch, id=batch.pk) for _ in range(2))
        assert find_row(UploadBatch, id=other.pk) == other
    assert len(queries) == 2
    assert first == second == batch
    assert first is not second
    UploadBatch.objects.filter(pk=batch.pk).update(name="new")
    assert find_row(UploadBatch, id=batch.pk).name == "new"


def test_what_is_asked_once_may_be_asked_again_after_the_look():
    asked = []
    with one_look():
        assert [once(asked.append, number) for number in (1, 1, 2)] == [None] * 3
    for _ in range(2):
        once(asked.append, 1)
    assert asked == [1, 2, 1, 1]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_rows_are_found_by_any_number_of_values(ann, storage, count):
    batch, other = make_batch(ann), make_batch(ann)
    fields = [{"batch": where, "path": f"f{number}"} for where in (batch, other) for number in range(6)]
    files = [open_session(ann, storage, **some).file for some in fields]
    wanted = tuple(f"f{number}" for number in range(count))
    found = find_rows(IngestFile, "path", (*wanted[:-1], "nowhere", wanted[-1]), ("batch_id", batch.pk))
    assert sorted(found, key=lambda file: file.path) == files[:count]
    assert find_rows(IngestFile, "path", (), ("batch_id", batch.pk)) == []


def test_a_row_is_set_while_it_has_all_that_was_seen(ann, storage):
    first, second = (open_session(ann, storage, size=1).file for _ in range(2))
    seen = {"id": first.pk, "path": None, "size_bytes": 1, "status_at__lte": Now()}
    new = {"error": {"code": "ä"}, "metadata": {"a": [1]}, "path": "p", "size_bytes": F("size_bytes") + 1}
    assert not update_row(IngestFile, seen | {"size_bytes": 2}, new)
    assert not update_row(IngestFile, seen | {"path": "q"}, new)
    assert not update_row(IngestFile, seen | {"stored_at": F("created_at")}, new)
    assert update_row(IngestFile, seen, new)
    first.refresh_from_db()
    assert (first.error, first.metadata, first.path, first.size_bytes) == ({"code": "ä"}, {"a": [1]}, "p", 2)
    assert not update_row(IngestFile, seen, new), "a path was not seen"
    assert update_row(IngestFile, {"id": first.pk, "path": "p"}, {"error": None, "path": None})
    assert IngestFile.objects.filter(path=None, error__isnull=True, size_bytes=2).get() == first
    second.refresh_from_db()
    assert (second.path, second.size_bytes) == (None, 1)


def test_rows_that_are_set_alike_are_set_by_one_statement(ann, storage):
    files = [open_session(ann, storage).file for _ in range(3)]

    def move(file, moment):
        return update_row(IngestFile, {"id": file.pk, "size_bytes": F("size_bytes")}, {"stored_at": moment})

    assert move(files[0], Now() + timedelta(seconds=5))
    made = prepared_rows._updating.cache_info().misses
    assert all(move(file, Now() + timedelta(seconds=5)) for file in files)
    assert prepared_rows._updating.cache_info().misses == made
    assert move(files[0], timezone.now())
    assert prepared_rows._updating.cache_info().misses == made + 1


def test_a_select_of_all_columns_gives_objects_with_what_they_refer_to(ann, storage):
    first, second = open_session(ann, storage, size=1), open_session(ann, storage, size=2)
    found = Prepared(lambda: UploadSession.objects.filter(**slots(UploadSession, "id")).select_related("file"))
    rows = UploadSession.objects.order_by("id")
    told = [[vars(row) | {"_state": None} for row in way] for way in (Prepared(rows.all).objects(UploadSession), rows)]
    assert told[0] == told[1]
    for session in (first, second):
        ((row, file),) = found.objects(UploadSession, IngestFile, id=session.pk)
        assert (row, file) == (session, session.file)
        assert file.original_filename == session.file.original_filename
        assert not row._state.adding


def test_rows_are_named_by_as_many_keys_as_there_are_slots(ann, storage):
    keys = [open_session(ann, storage).pk for _ in range(3)]
    rows = UploadSession.objects.filter(pk__in=key_slots(UploadSession, 2)).order_by("id")
    statement = Prepared(lambda: rows.values_list("id"))
    assert statement.rows(**keys_as_values(keys[1:])) == [[keys[1]], [keys[2]]]
    assert statement.rows(**keys_as_values(keys[:2])) == [[keys[0]], [keys[1]]]


def test_a_new_row_is_what_a_call_of_the_model_makes(db):
    called = IngestFile(path="a", size_bytes=3)
    values = {field.attname: getattr(called, field.attname) for field in IngestFile._meta.concrete_fields}
    made = new_row(IngestFile, values)
    assert made == called
    told = {name: value for name, value in vars(made).items() if name != "_state"}
    assert told == {name: value for name, value in vars(called).items() if name != "_state"}
    assert (made._state.adding, made._state.db, made._state.fields_cache) == (True, None, {})

"""Prepared statements mean what their querysets mean, and each call's values are its own."""

from datetime import UTC, datetime, timedelta

from django.db.models import DurationField, F
from django.db.models.functions import Now
from django.utils import timezone

from portal.models import ApiToken, UploadPart, UploadSession
from portal.models.parts import FIND_PART, INSERT_PART
from portal.models.prepared import Prepared, Slot, slots
from portal.models.tokens import CALLER_FIELDS, FIND_CALLER
from portal.services.tokens import create_token
from tests.samples import open_session


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

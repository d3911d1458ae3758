"""Events to be read: numbered after their commit, listed by number, of the form that is published."""

import json
import re
from pathlib import Path
from uuid import uuid4

import jsonschema
import pytest
from django.db import connection

from portal.models import EventCounter, OutboxEvent
from portal.services import events
from portal.services.events import list_events, number_events
from portal.services.sessions import abort_session
from portal.views.events import read_schema
from tests.samples import make_batch, make_caller, open_session, store_file
from tests.services.situations import plans_of

A_BATCH = uuid4()
PUBLISHED = sorted((Path(__file__).parent.parent / "schema" / "published").glob("*.json"))


def numbers(caller, **query):
    """Return the numbers in the caller's list."""
    return [row["seq"] for row in list_events(caller, ["seq"], **query).rows]


def test_events_are_numbered_in_order_and_only_once(ann, storage):
    for _ in range(3):
        store_file(ann, storage)
    assert numbers(ann) == []
    assert number_events() == 3
    first = dict(OutboxEvent.objects.values_list("pk", "seq"))
    assert [first[pk] for pk in sorted(first)] == [1, 2, 3]
    assert number_events() == 0
    store_file(ann, storage)
    assert number_events() == 1
    assert dict(OutboxEvent.objects.filter(pk__in=first).values_list("pk", "seq")) == first
    assert (numbers(ann), EventCounter.objects.get().last_seq) == ([1, 2, 3, 4], 4)


def test_more_events_than_a_block_take_more_rounds(ann, storage, monkeypatch):
    monkeypatch.setattr(events, "BLOCK", 2)
    for _ in range(5):
        store_file(ann, storage)
    assert [number_events() for _ in range(4)] == [2, 2, 1, 0]
    assert numbers(ann) == [1, 2, 3, 4, 5]


def test_one_reads_ones_own_and_service_reads_all(ann, bob, storage):
    store_file(ann, storage)
    store_file(bob, storage)
    number_events()
    assert (numbers(ann), numbers(bob), numbers(make_caller("runner", "service"))) == ([1], [2], [1, 2])


def test_a_list_is_narrowed_by_type_by_batch_and_by_the_last_number_known(ann, storage):
    batch = make_batch(ann, expected_files=1)
    abort_session(open_session(ann, storage))
    store_file(ann, storage, batch=batch)
    number_events()
    assert numbers(ann, event_type="file.failed") == [1]
    assert numbers(ann, batch_id=batch.pk) == [2, 3]
    assert numbers(ann, after=2) == [3]
    assert numbers(ann, after=3) == []


def test_a_reader_goes_on_by_the_cursor_too(ann, storage):
    for _ in range(3):
        store_file(ann, storage)
    number_events()
    page = list_events(ann, ["seq"], limit=2)
    assert [row["seq"] for row in page.rows] == [1, 2]
    assert numbers(ann, limit=2, cursor=page.next) == [3]


#: What is asked for → the index that serves it best.
LISTS = {
    "own": ({}, "event_owner_seq"),
    "own of a type": ({"event_type": "file.failed"}, "event_owner_type_numbered"),
    "of a batch": ({"batch_id": A_BATCH}, "event_batch_numbered"),
    "of a type": ({"event_type": "file.failed", "scopes": ("service",)}, "event_type_seq"),
}


@pytest.mark.parametrize(("query", "index"), LISTS.values(), ids=LISTS)
def test_a_list_goes_along_an_index_of_the_events_that_are_read(query, index, ann, bob):
    made = [OutboxEvent(owner=bob.user, event_type="file.uploaded", batch_id=uuid4()) for _ in range(2000)]
    made += [OutboxEvent(owner=ann.user, event_type="file.uploaded", batch_id=A_BATCH) for _ in range(20)]
    made += [OutboxEvent(owner=ann.user, event_type="file.failed", batch_id=uuid4()) for _ in range(3)]
    for number, event in enumerate(made, 1):
        event.subject_id, event.seq, event.payload = event.pk, number, {}
    OutboxEvent.objects.bulk_create(made)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    query = query.copy()
    scopes = query.pop("scopes", None)
    caller = make_caller("runner", *scopes) if scopes else ann
    for after in (None, 7):
        (plan,) = plans_of(lambda after=after: list_events(caller, ["seq"], after=after, **query))
        # PostgreSQL may take another of them where its statistics say that there is little to be left out.
        used = re.findall(r"(?:INDEX|using|Scan on) (event_\w+)", plan)
        assert used == [index] if connection.vendor == "sqlite" else used


@pytest.fixture
def payloads(ann, storage):
    """One payload of each type, as services write them."""
    batch = make_batch(ann, expected_files=1, name="June")
    abort_session(open_session(ann, storage, batch=batch, path="lost"))
    store_file(ann, storage, batch=batch, path="kept")
    return {event.event_type: json.loads(json.dumps(event.payload)) for event in OutboxEvent.objects.all()}


@pytest.mark.parametrize("name", OutboxEvent.Type.values)
def test_what_is_written_is_of_the_published_form(payloads, name):
    schema = read_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(payloads[name], schema, cls=jsonschema.Draft202012Validator)
    for member in schema["required"]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in payloads[name].items() if key != member}, schema)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_a_form_that_was_published_still_fits_what_is_written(payloads, path):
    published = json.loads(path.read_text())
    jsonschema.validate(payloads[published["title"]], published)


def test_every_type_has_a_published_form():
    assert {json.loads(path.read_text())["title"] for path in PUBLISHED} == set(OutboxEvent.Type.values)

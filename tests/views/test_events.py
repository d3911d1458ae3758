"""Events over HTTP, as a runner reads them."""

import pytest

from portal.models import Delivery, Endpoint, OutboxEvent
from portal.services.deliveries import hand_out
from portal.services.endpoints import disable_endpoint
from portal.services.events import number_events
from tests.samples import make_batch, make_caller, make_token, store_file
from tests.views.shapes import NOBODY, PAGE, field_errors, problem

EVENT = set("seq event_id event_type occurred_at batch_id file_id payload".split())


@pytest.fixture
def read(client, ann):
    """`read(path, caller)` asks for a path as ann, or as somebody else; returns the response."""

    def ask(path, caller=ann):
        return client.get(path, headers={"authorization": f"Bearer {make_token(caller)}"})

    return ask


@pytest.fixture
def batch(ann, storage):
    """A batch that is completed by its one file, its two events numbered."""
    batch = make_batch(ann, expected_files=1)
    store_file(ann, storage, batch=batch)
    number_events()
    return batch


def seqs(response):
    """Return the numbers on a page."""
    assert response.status_code == 200
    assert set(response.json()) == PAGE
    return [event["seq"] for event in response.json()["results"]]


def test_an_event_has_exactly_the_promised_members(read, batch):
    uploaded, completed = read("/events").json()["results"]
    assert set(uploaded) == set(completed) == EVENT
    assert (uploaded["event_type"], completed["event_type"]) == ("file.uploaded", "batch.completed")
    assert uploaded["payload"]["event_id"] == uploaded["event_id"]
    assert uploaded["payload"]["occurred_at"] == uploaded["occurred_at"]
    assert (uploaded["batch_id"], completed["file_id"]) == (str(batch.pk), None)


def test_who_remembers_the_last_number_gets_what_came_since(read, batch, ann, storage):
    assert seqs(read("/events")) == [1, 2]
    assert seqs(read("/events?after=2")) == []
    store_file(ann, storage)
    number_events()
    assert seqs(read("/events?after=2")) == [3]


def test_a_list_goes_on_by_next_and_keeps_its_filters(read, batch, ann, storage):
    for _ in range(2):
        store_file(ann, storage)
    number_events()
    first = read("/events?limit=2&type=file.uploaded")
    assert seqs(first) == [1, 3]
    assert seqs(read(first.json()["next"].removeprefix("http://testserver"))) == [4]


def test_the_events_of_a_batch_are_its_own(read, batch, ann, bob, storage):
    store_file(ann, storage)
    number_events()
    assert seqs(read(f"/batches/{batch.pk}/events")) == seqs(read(f"/events?batch={batch.pk}")) == [1, 2]
    problem(read(f"/batches/{batch.pk}/events", bob), 404, "not_found")
    assert seqs(read(f"/events?batch={batch.pk}", bob)) == seqs(read(f"/events?batch={NOBODY}", bob)) == []


def test_service_reads_the_events_of_all(read, batch, bob, storage):
    store_file(bob, storage)
    number_events()
    assert seqs(read("/events", make_caller("runner", "service"))) == [1, 2, 3]
    assert seqs(read("/events")) == [1, 2]


def test_service_reads_the_events_of_anybodys_batch(read, batch):
    runner = make_caller("runner", "service")
    assert seqs(read(f"/batches/{batch.pk}/events", runner)) == [1, 2]
    problem(read(f"/batches/{NOBODY}/events", runner), 404, "not_found")


@pytest.mark.parametrize("query", ["type=file.lost", "batch=x", "after=-1", "after=x", f"after={2**63}", "limit=0"])
def test_a_bad_query_is_400(read, query):
    assert set(field_errors(read(f"/events?{query}"))) == {query.partition("=")[0]}


def test_a_page_costs_one_query_however_many_there_are(read, batch, django_assert_num_queries):
    token_and_page = 2
    read("/events")
    with django_assert_num_queries(token_and_page + 1):  # and the token that `read` makes
        read("/events")


def test_the_schemas_are_there_for_anybody(client):
    schemas = client.get("/schemas/events").json()
    assert set(schemas) == {"file.uploaded", "file.failed", "batch.completed"}
    for name, path in schemas.items():
        assert client.get(path).json()["title"] == name
    problem(client.get("/schemas/events/file.lost.json"), 404, "not_found")


@pytest.fixture
def delivered(batch):
    """The event of the batch's file, DEAD at one endpoint."""
    endpoint = Endpoint.objects.create(url="https://runner.example.org/")
    hand_out()
    event = OutboxEvent.objects.get(seq=1)
    attempt = {"at": "2030-01-01T00:00:00Z", "status_code": None, "error": "timeout", "milliseconds": 9}
    Delivery.objects.filter(event=event).update(status="DEAD", attempts=12, due_at=None, history=[attempt])
    return event, endpoint, attempt


def test_an_event_shows_what_became_of_it_at_each_endpoint(read, delivered):
    event, endpoint, attempt = delivered
    shown = read(f"/events/{event.pk}").json()
    assert set(shown) == EVENT | {"deliveries"}
    dead = {"endpoint_id": str(endpoint.pk), "status": "DEAD", "attempts": 12, "next_attempt_at": None}
    assert shown["deliveries"] == [dead | {"history": [attempt]}]


@pytest.fixture
def replay(client, ann):
    """`replay(event, body)` asks as ann for an event to be sent again; returns the response."""

    def ask(event, body=b""):
        headers = {"authorization": f"Bearer {make_token(ann)}"}
        return client.post(f"/events/{event.pk}/replay", body, content_type="application/json", headers=headers)

    return ask


def test_a_replay_sends_it_again_from_the_first_attempt_on(replay, delivered):
    event, endpoint, attempt = delivered
    response = replay(event)
    assert response.status_code == 202
    assert response.json()["sent_to"] == [str(endpoint.pk)]
    (shown,) = response.json()["deliveries"]
    assert (shown["status"], shown["attempts"], shown["history"]) == ("PENDING", 0, [attempt])
    assert shown["next_attempt_at"]
    assert Delivery.objects.due().filter(event=event).exists()


def test_an_event_without_a_number_is_not_there_yet(read, ann, storage):
    store_file(ann, storage)
    event = OutboxEvent.objects.get()
    assert read(f"/events/{event.pk}").status_code == 404


def test_a_replay_for_disabled_endpoints_alone_is_refused_and_changes_nothing(replay, delivered):
    event, endpoint, _ = delivered
    disable_endpoint(endpoint)
    problem(replay(event), 409, "endpoint_disabled")
    assert Delivery.objects.get(event=event).status == "DEAD"


def test_a_replay_names_the_enabled_endpoints_and_leaves_the_disabled_ones(replay, delivered):
    event, endpoint, _ = delivered
    disable_endpoint(endpoint)
    other = Endpoint.objects.create(url="https://other.example.org/")
    response = replay(event)
    assert response.status_code == 202
    assert response.json()["sent_to"] == [str(other.pk)]
    assert Delivery.objects.get(event=event, endpoint=endpoint).status == "DEAD"


def test_a_replay_where_nobody_listens_says_that_it_is_sent_to_nobody(replay, batch):
    response = replay(OutboxEvent.objects.get(seq=1))
    assert response.status_code == 202
    assert (response.json()["sent_to"], response.json()["deliveries"]) == ([], [])


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"a": NaN}'])
def test_a_replay_with_a_body_that_is_no_object_is_400_and_sends_nothing(replay, delivered, body):
    event = delivered[0]
    problem(replay(event, body), 400, "invalid")
    assert Delivery.objects.get(event=event).status == "DEAD"
    assert replay(event, b"{}").status_code == 202

"""Endpoints of owners: what they may be called at, what they hear, and how they go."""

import ipaddress

import pytest

from portal.exceptions import Invalid, TooManyEndpoints
from portal.models import Delivery, Endpoint, OutboxEvent
from portal.services import own_endpoints
from portal.services.deliveries import claim_due, hand_out
from portal.services.due_rows import endpoints_with_due
from portal.services.endpoints import note_environment, target_of
from portal.services.events import number_events
from portal.services.own_endpoints import create_endpoint, delete_endpoint
from portal.services.replays import replay_event
from tests.runner.hostile_urls import HOSTILE
from tests.samples import make_batch, store_file

URL = "https://1.1.1.1/hook"


def heard():
    """Number and hand out what there is; return by endpoint the types that it was handed."""
    number_events()
    while hand_out():
        pass
    rows = Delivery.objects.order_by("event__seq").values_list("endpoint_id", "event__event_type")
    return {
        pk: [kind for endpoint, kind in rows if endpoint == pk] for pk in Endpoint.objects.values_list("pk", flat=True)
    }


#: What no look-up finds, at least not everywhere, is refused by each call instead.
KNOWN = [form.format(port=80) for form in HOSTILE if "%" not in form and ".:" not in form]


@pytest.mark.parametrize("url", KNOWN)
def test_a_hostile_url_is_refused_at_once(ann, url):
    with pytest.raises(Invalid) as error:
        create_endpoint(ann, url)
    assert [problem["field"] for problem in error.value.extra["errors"]] == ["url"]
    assert not Endpoint.objects.exists()


def test_a_name_that_leads_inside_is_refused_unless_its_network_is_allowed(ann, settings):
    with pytest.raises(Invalid) as error:
        create_endpoint(ann, "http://localhost/")
    assert error.value.extra["errors"][0]["code"] == "address_refused"
    settings.PORTAL_ENDPOINT_ALLOW_NETWORKS = [ipaddress.ip_network(text) for text in ("127.0.0.0/8", "::1/128")]
    assert create_endpoint(ann, "http://localhost/").pk


def test_an_endpoint_hears_its_owners_events_from_now_on(ann, bob, storage):
    store_file(ann, storage)
    number_events()
    endpoint = create_endpoint(ann, URL)
    assert heard() == {endpoint.pk: []}
    store_file(bob, storage)
    store_file(ann, storage)
    assert heard() == {endpoint.pk: ["file.uploaded"]}
    assert Delivery.objects.get().event.owner == ann.user


def test_an_endpoint_hears_the_types_that_it_asked_for(ann, storage):
    some = create_endpoint(ann, URL, event_types=["batch.completed", "batch.completed"])
    every = create_endpoint(ann, URL)
    store_file(ann, storage, batch=make_batch(ann, expected_files=1))
    assert heard() == {some.pk: ["batch.completed"], every.pk: ["file.uploaded", "batch.completed"]}
    assert hand_out() == 0


def test_the_endpoint_of_the_environment_hears_all_beside_them(ann, bob, storage, settings):
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/"
    note_environment()
    endpoint = create_endpoint(ann, URL)
    for caller in (ann, bob):
        store_file(caller, storage)
    assert {pk: len(kinds) for pk, kinds in heard().items()} == {Endpoint.ENVIRONMENT_ID: 2, endpoint.pk: 1}


def test_what_is_sent_to_an_owners_endpoint_is_guarded_and_to_the_environments_is_not(ann, settings):
    settings.PORTAL_RUNNER_ENDPOINT = "http://127.0.0.1/"
    settings.PORTAL_RUNNER_SECRET = "whsec_YQ=="
    settings.PORTAL_ENDPOINT_ALLOW_NETWORKS = networks = [ipaddress.ip_network("10.0.0.0/8")]
    note_environment()
    trusted = target_of(Endpoint.objects.get())
    assert (trusted.url, trusted.keys, trusted.guarded) == ("http://127.0.0.1/", (b"a",), False)
    target = target_of(create_endpoint(ann, URL))
    assert (target.url, target.guarded, target.allowed) == (URL, True, tuple(networks))
    assert target.keys != trusted.keys


def test_a_replay_goes_to_those_who_hear_the_event_alone(ann, bob, storage):
    create_endpoint(bob, URL)
    create_endpoint(ann, URL, event_types=["file.failed"])
    endpoint = create_endpoint(ann, URL)
    store_file(ann, storage)
    heard()
    claim_due([endpoint], lambda *_: 9)
    Delivery.objects.update(status="DELIVERED", due_at=None, claim_token=None)
    assert replay_event(OutboxEvent.objects.get()) == [endpoint]
    assert endpoints_with_due() == [endpoint]


def test_one_may_have_only_so_many(ann, bob, monkeypatch):
    monkeypatch.setattr(own_endpoints, "MAX_ENDPOINTS", 2)
    for _ in range(2):
        create_endpoint(ann, URL)
    with pytest.raises(TooManyEndpoints):
        create_endpoint(ann, URL)
    assert create_endpoint(bob, URL).pk


def test_an_endpoint_goes_with_its_deliveries_in_blocks(ann, storage, monkeypatch):
    monkeypatch.setattr(own_endpoints, "BLOCK", 2)
    endpoint, other = create_endpoint(ann, URL), create_endpoint(ann, URL)
    for _ in range(3):
        store_file(ann, storage)
    heard()
    delete_endpoint(endpoint)
    assert list(Endpoint.objects.all()) == [other]
    assert Delivery.objects.count() == 3
    delete_endpoint(endpoint)
    assert OutboxEvent.objects.count() == 3

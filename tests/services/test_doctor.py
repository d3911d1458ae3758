"""Nothing is stuck for ever without being told: each state past its deadline is found, and none before it."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from portal.models import Delivery, Endpoint, IdempotencyKey, IngestFile, OutboxEvent, PartClaim, UploadBatch
from portal.services import doctor
from portal.services.claims import claim_session
from portal.services.deliveries import hand_out
from portal.services.doctor import EXAMPLES, STATES, examine
from portal.services.endpoints import note_environment
from portal.services.events import number_events
from portal.services.heartbeats import Heart
from portal.services.idempotency import claim_key
from portal.services.part_claims import claim_parts
from portal.services.sessions import abort_session
from portal.services.usage import fix_usage
from portal.storage import base
from tests.samples import make_batch, open_session, ready_session, store_file
from tests.services.situations import failing, make_old, set_columns

#: By the name of a state: a function of (caller, storage, how long ago) that brings it about.
SITUATIONS = {}


def brings_about(name):
    """Put a function into SITUATIONS."""

    def keep(function):
        SITUATIONS[name] = function
        return function

    return keep


def before(age):
    """Return the moment so long ago, by the database's clock."""
    return Now() - age


@brings_about("worker")
def _(caller, storage, age):
    heart = Heart(stopped=lambda seconds: True)
    heart.beat()
    set_columns(heart.row, beat_at=before(age))


@brings_about("overdue session")
def _(caller, storage, age):
    set_columns(open_session(caller, storage), expires_at=before(age))


@brings_about("waiting finalize")
def _(caller, storage, age):
    session = ready_session(caller, storage)
    claim_session(session)
    set_columns(session, lease_until=before(age))


@brings_about("failing finalize")
def _(caller, storage, age):
    session = ready_session(caller, storage)
    claim_session(session)
    set_columns(session, status_at=before(age), attempts=5)


@brings_about("dead bytes")
def _(caller, storage, age):
    session = open_session(caller, storage)
    abort_session(session)
    set_columns(session, status_at=before(age))
    number_events()


@brings_about("unnumbered event")
def _(caller, storage, age):
    store_file(caller, storage)
    set_columns(OutboxEvent.objects.get(), created_at=before(age))


def deliver(caller, storage):
    """Return an endpoint with a delivery that is due."""
    endpoint = Endpoint.objects.create(url="https://runner.example.org/", owner=caller.user)
    store_file(caller, storage)
    number_events()
    hand_out()
    return endpoint, Delivery.objects.get()


@brings_about("endpoint behind")
def _(caller, storage, age):
    endpoint, delivery = deliver(caller, storage)
    set_columns(endpoint, last_seq=0)
    set_columns(delivery.event, created_at=before(age))


@brings_about("overdue delivery")
def _(caller, storage, age):
    set_columns(deliver(caller, storage)[1], due_at=before(age))


@brings_about("dead delivery")
def _(caller, storage, age):
    set_columns(deliver(caller, storage)[1], status="DEAD", due_at=None)


@brings_about("disabled endpoint")
def _(caller, storage, age):
    set_columns(deliver(caller, storage)[0], status="DISABLED", status_at=before(age))


@brings_about("old idempotency key")
def _(caller, storage, age):
    claim_key(caller, "k", "0" * 64)
    set_columns(IdempotencyKey.objects.get(), created_at=before(age))


@brings_about("old part claim")
def _(caller, storage, age):
    claim_parts(open_session(caller, storage).pk, [1]).forget()
    set_columns(PartClaim.objects.get(), lease_until=before(age))


@brings_about("uncompleted batch")
def _(caller, storage, age):
    set_columns(make_batch(caller), sealed_at=timezone.now())


@brings_about("file without a session")
def _(caller, storage, age):
    session = open_session(caller, storage)
    set_columns(session, status="ABORTED", bytes_removed=True)
    fix_usage(caller.user.pk)


@brings_about("drift")
def _(caller, storage, age):
    set_columns(make_batch(caller), total_files=1)


@brings_about("file without bytes")
def _(caller, storage, age):
    file = store_file(caller, storage)
    number_events()
    del storage.files["objects"][file.storage_key]


@brings_about("bytes without a file")
def _(caller, storage, age):
    storage.create_object("aa/bb/" + "0" * 32).close()
    make_old(storage, "objects", "aa/bb/" + "0" * 32, age.total_seconds())


def stuck(storage, **options):
    """Return the names of the states that something is stuck in."""
    return {finding.state.name: finding.count for finding in examine(storage=storage, **options)}


CASES = [state for state in STATES if state.name not in ("storage", "scanner")]


@pytest.mark.parametrize("state", CASES, ids=lambda state: state.name)
def test_what_is_past_its_deadline_is_found_and_nothing_else(ann, storage, state):
    SITUATIONS[state.name](ann, storage, state.deadline + timedelta(seconds=5))
    assert stuck(storage) == {state.name: 1}


@pytest.mark.parametrize("state", [state for state in CASES if state.deadline], ids=lambda state: state.name)
def test_what_has_time_left_is_not(ann, storage, state):
    SITUATIONS[state.name](ann, storage, state.deadline - timedelta(seconds=30))
    assert stuck(storage) == {}


def test_a_portal_that_works_has_nothing_stuck(ann, storage):
    batch = make_batch(ann, expected_files=1)
    deliver(ann, storage)
    store_file(ann, storage, batch=batch)
    open_session(ann, storage)
    ready_session(ann, storage)
    Heart(stopped=lambda seconds: True).beat()
    assert stuck(storage) == {}
    assert IngestFile.objects.count() == 4


def test_what_happens_to_others_is_not_for_an_owners_endpoint(ann, bob, storage):
    Endpoint.objects.create(url="https://bob.example.org/", owner=bob.user)
    store_file(ann, storage)
    number_events()
    OutboxEvent.objects.update(created_at=before(timedelta(days=1)))
    assert stuck(storage) == {}
    store_file(bob, storage)
    number_events()
    OutboxEvent.objects.update(created_at=before(timedelta(days=1)))
    assert stuck(storage) == {"endpoint behind": 1}


@pytest.mark.parametrize(
    ("status", "found"),
    [("ENABLED", {"endpoint behind": 1, "overdue delivery": 1}), ("DISABLED", {"disabled endpoint": 1})],
)
def test_while_the_environment_names_no_endpoint_nothing_waits_for_it(ann, storage, settings, status, found):
    settings.PORTAL_RUNNER_ENDPOINT = "https://runner.example.org/"
    note_environment()
    store_file(ann, storage)
    number_events()
    hand_out()
    store_file(ann, storage)
    number_events()
    yesterday = before(timedelta(days=1))
    OutboxEvent.objects.update(created_at=yesterday)
    Delivery.objects.update(due_at=yesterday)
    Endpoint.objects.update(status=status, status_at=yesterday)
    assert stuck(storage) == found
    settings.PORTAL_RUNNER_ENDPOINT = ""
    assert stuck(storage) == {}


def test_many_are_counted_and_a_few_named(ann, storage):
    for _ in range(EXAMPLES + 2):
        set_columns(make_batch(ann), total_files=1, total_bytes=1)
    (found,) = examine(storage=storage)
    assert (found.count, len(found.examples)) == (2 * (EXAMPLES + 2), EXAMPLES)
    assert all("total_" in example for example in found.examples)


def test_quick_leaves_out_what_reads_everything(ann, storage, monkeypatch):
    set_columns(make_batch(ann), total_files=1)
    for name in ("old_keys", "open_object"):
        monkeypatch.setattr(storage, name, failing(AssertionError("read the storage")))
    assert stuck(storage, quick=True) == {}


def test_a_disk_that_is_nearly_full_is_told(ann, storage, settings):
    settings.PORTAL_MIN_FREE_BYTES = 10**9
    storage.capacity = 2 * 10**9
    assert stuck(storage) == {}
    storage.capacity -= 1
    assert stuck(storage) == {"storage": 1}


def test_a_storage_that_does_not_answer_is_told_and_the_rest_is_looked_at(ann, storage, monkeypatch):
    set_columns(make_batch(ann), total_files=1)
    for name in ("check", "old_keys"):
        monkeypatch.setattr(storage, name, failing(base.StorageUnavailable("gone")))
    assert stuck(storage) == {"storage": 1, "drift": 1, "bytes without a file": 1}


def test_it_changes_nothing(ann, storage):
    for state in CASES:
        if state.name in ("unnumbered event", "overdue session", "drift"):
            SITUATIONS[state.name](ann, storage, state.deadline + timedelta(seconds=5))
    first = stuck(storage)
    assert first == stuck(storage)
    assert UploadBatch.objects.get().total_files == 1


def test_every_state_says_what_to_do():
    assert all(state.what and state.advice for state in doctor.STATES)
    assert len({state.name for state in STATES}) == len(STATES)

"""Claims on parts: one writer each, renewed while its process lives, taken over afterwards."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from portal.exceptions import PartBusy, SessionClosed
from portal.models import PartClaim
from portal.services import part_claims
from portal.services.part_claims import Keeper, claim_parts, drop_old_claims
from portal.services.transactions import write_transaction
from tests.patience import wait_until
from tests.samples import CHUNK, open_session
from tests.services.situations import failing


@pytest.fixture
def session(ann, storage):
    return open_session(ann, storage, size=5 * CHUNK)


def numbers():
    return sorted(PartClaim.objects.values_list("number", flat=True))


def run_out():
    PartClaim.objects.update(lease_until=Now() - timedelta(seconds=1))


def test_a_claim_is_for_what_nobody_else_has(session):
    first = claim_parts(session.pk, [1, 2])
    second = claim_parts(session.pk, [2, 3])
    assert (sorted(first.numbers), second.numbers) == ([1, 2], [3])
    assert claim_parts(session.pk, [1, 2, 3]) is None
    first.release()
    third = claim_parts(session.pk, [1, 2, 3])
    assert sorted(third.numbers) == [1, 2]
    second.release()
    third.release()
    assert numbers() == []


def test_what_ran_out_is_taken_over_and_lost(session):
    first = claim_parts(session.pk, [1, 2])
    run_out()
    second = claim_parts(session.pk, [2])
    assert second.numbers == [2]
    with pytest.raises(PartBusy), write_transaction():
        first.settle()
    assert numbers() == [1, 2]
    with write_transaction():
        second.settle()
    second.forget()
    first.release()
    assert numbers() == []


def test_sessions_do_not_meet(session, ann, storage):
    other = open_session(ann, storage, size=CHUNK)
    claims = [claim_parts(pk, [1]) for pk in (session.pk, other.pk)]
    assert [claim.numbers for claim in claims] == [[1], [1]]
    for claim in claims:
        claim.release()


@pytest.mark.django_db(transaction=True)
def test_claims_are_renewed_by_a_thread_until_the_last_is_given_up(session, monkeypatch):
    monkeypatch.setattr(part_claims, "RENEW_SECONDS", 0.05)
    keeper = Keeper()
    monkeypatch.setattr(part_claims, "keeper", keeper)
    claim = claim_parts(session.pk, [1])
    run_out()
    wait_until(lambda: PartClaim.objects.filter(lease_until__gt=Now()).exists())
    thread = keeper._thread
    claim.release()
    wait_until(lambda: not thread.is_alive())
    again = claim_parts(session.pk, [1])
    assert keeper._thread is not thread
    again.release()
    wait_until(lambda: keeper._thread is None)


def test_a_claim_is_good_for_less_than_its_lease(session, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(part_claims.time, "monotonic", lambda: now[0])
    keeper = Keeper()
    monkeypatch.setattr(part_claims, "keeper", keeper)
    monkeypatch.setattr(Keeper, "_run", lambda _: None)
    claim = claim_parts(session.pk, [1, 2])
    now[0] += 24
    claim.require()
    now[0] += 2
    with pytest.raises(PartBusy):
        claim.require()
    keeper.renew()
    claim.require()
    # Somebody else has it by now: nothing is renewed.
    PartClaim.objects.update(token=uuid4())
    now[0] += 24
    keeper.renew()
    now[0] += 2
    with pytest.raises(PartBusy):
        claim.require()


def test_a_thread_that_could_not_be_started_or_died_is_started_again(session, monkeypatch):
    keeper = Keeper()
    monkeypatch.setattr(part_claims.threading.Thread, "start", failing(RuntimeError("can't start new thread")))
    with pytest.raises(RuntimeError):
        keeper.add(uuid4(), 0)
    monkeypatch.undo()
    monkeypatch.setattr(Keeper, "_run", lambda _: None)
    keeper.add(uuid4(), 0)
    wait_until(lambda: not keeper._thread.is_alive())
    first = keeper._thread
    keeper.add(uuid4(), 0)
    assert keeper._thread is not first


@pytest.mark.parametrize("error", [OperationalError("gone"), ZeroDivisionError("a mistake")], ids=str)
@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_is_asked_again(session, monkeypatch, error):
    monkeypatch.setattr(part_claims, "RENEW_SECONDS", 0.05)
    keeper, renew, failures = Keeper(), Keeper.renew, []

    def fail_once(self):
        if not failures:
            failures.append(error)
            raise failures[0]
        renew(self)

    monkeypatch.setattr(Keeper, "renew", fail_once)
    monkeypatch.setattr(part_claims, "keeper", keeper)
    claim = claim_parts(session.pk, [1])
    run_out()
    wait_until(lambda: PartClaim.objects.filter(lease_until__gt=Now()).exists())
    claim.release()
    wait_until(lambda: keeper._thread is None)
    assert failures


def test_only_claims_that_ran_out_long_ago_are_dropped(session):
    claims = {age: claim_parts(session.pk, [number]) for number, age in enumerate((0, 23, 25), 1)}
    for age, claim in claims.items():
        PartClaim.objects.filter(token=claim.token).update(lease_until=Now() - timedelta(hours=age))
        claim.forget()
    assert drop_old_claims() == 1
    assert numbers() == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_a_session_that_is_gone_is_closed():
    with pytest.raises(SessionClosed):
        claim_parts(uuid4(), [1])

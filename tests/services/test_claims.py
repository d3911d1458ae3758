"""The claim on a finalize: who may take it, until when, and what a lost one can still do."""

import secrets
from datetime import timedelta
from importlib.util import find_spec, module_from_spec
from itertools import pairwise
from types import SimpleNamespace

import pytest
from django.utils import timezone

from portal.exceptions import StatusConflict
from portal.services import claims
from portal.services.claims import KEYS_A_FOLDER, claim_session, new_object_key, take_over
from portal.services.sessions import abort_session
from portal.storage.keys import check_key, object_key_of, staging_key_of
from tests.samples import CHUNK, open_session, ready_session, send_part
from tests.services.situations import let_lease_end, session_row, set_columns


@pytest.fixture
def claimed(ann, storage):
    """A claim on a session, as fresh as can be."""
    return claim_session(ready_session(ann, storage))


def seconds_left(session):
    """Return how long the lease still runs."""
    return (session_row(session).lease_until - timezone.now()).total_seconds()


def test_a_claim_freezes_the_parts_under_a_lease(claimed):
    row = session_row(claimed.session)
    assert (row.status, row.claim_token, row.attempts) == ("FINALIZING", claimed.token, 0)
    assert 50 < seconds_left(row) <= 60


def test_the_destination_is_kept_in_the_row_with_the_claim(claimed):
    key = session_row(claimed.session).object_key
    assert check_key("objects", key) == key


def test_every_destination_is_another():
    keys = {new_object_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(check_key("objects", key) for key in keys)


def test_a_destination_is_told_by_its_name():
    # Where bytes grow at the place of the object, a list of them tells no more than that.
    key = new_object_key()
    assert object_key_of(staging_key_of(key)) == key


def test_many_destinations_in_a_row_lie_in_one_folder_and_those_after_them_in_another():
    folders = [key.rpartition("/")[0] for key in (new_object_key() for _ in range(100 * KEYS_A_FOLDER))]
    changes = sum(one != next_one for one, next_one in pairwise(folders))
    assert 95 <= changes <= 100, "some of 100 may be drawn again"
    assert len(set(folders)) > 90


def test_a_destination_is_whole_while_another_thread_chooses_the_first_folder():
    born = module_from_spec(find_spec(claims.__name__))
    born.__spec__.loader.exec_module(born)
    meanwhile = []

    def choose(size):
        meanwhile.append(born.new_object_key())
        return secrets.token_hex(size)

    born.secrets = SimpleNamespace(token_hex=choose)
    assert check_key("objects", born.new_object_key())
    assert [len(key) for key in meanwhile] == [len("ab/cd/") + 32]
    assert check_key("objects", meanwhile[0])


def test_a_claim_gives_storage_faults_a_whole_lifetime(ann, storage, settings):
    settings.PORTAL_SESSION_TTL_HOURS = 9
    session = set_columns(ready_session(ann, storage), expires_at=timezone.now())
    claim_session(session)
    assert session_row(session).expires_at - timezone.now() > timedelta(hours=8)


def test_a_session_that_misses_a_part_cannot_be_claimed(ann, storage):
    session = open_session(ann, storage, size=2 * CHUNK)
    send_part(ann, storage, session, 1, bytes(CHUNK))
    with pytest.raises(StatusConflict):
        claim_session(session_row(session))
    assert session_row(session).status == "IN_PROGRESS"


def test_two_who_claim_at_once_are_one_and_a_conflict(ann, storage):
    session = ready_session(ann, storage)
    stale = session_row(session)
    claim = claim_session(session)
    with pytest.raises(StatusConflict):
        claim_session(stale)
    assert session_row(session).claim_token == claim.token


def test_a_session_that_was_aborted_cannot_be_claimed(ann, storage):
    session = ready_session(ann, storage)
    stale = session_row(session)
    abort_session(session)
    with pytest.raises(StatusConflict):
        claim_session(stale)
    assert session_row(session).object_key == ""


def test_a_claim_is_taken_over_after_its_lease_and_not_before(claimed):
    assert take_over(session_row(claimed.session)) is None
    let_lease_end(claimed.session)
    claim = take_over(session_row(claimed.session))
    assert claim.token != claimed.token
    assert session_row(claimed.session).claim_token == claim.token
    assert 50 < seconds_left(claimed.session) <= 60


def test_two_who_take_over_at_once_are_one(claimed):
    let_lease_end(claimed.session)
    first, second = session_row(claimed.session), session_row(claimed.session)
    assert take_over(first) is not None
    let_lease_end(claimed.session)  # even when the winner's lease has run out again
    assert take_over(second) is None


def test_the_destination_stays_the_same_for_whoever_takes_over(claimed):
    key = session_row(claimed.session).object_key
    let_lease_end(claimed.session)
    assert take_over(session_row(claimed.session)).session.object_key == key
    assert session_row(claimed.session).object_key == key


def test_a_lease_is_renewed_by_whoever_holds_it(claimed):
    set_columns(claimed.session, lease_until=timezone.now() + timedelta(seconds=1))
    claimed.renew()
    assert 50 < seconds_left(claimed.session) <= 60


def test_a_lease_that_was_lost_is_not_renewed(claimed):
    let_lease_end(claimed.session)
    other = take_over(session_row(claimed.session))
    before = session_row(claimed.session).lease_until
    with pytest.raises(StatusConflict):
        claimed.renew()
    row = session_row(claimed.session)
    assert (row.claim_token, row.lease_until) == (other.token, before)


def test_a_lease_is_renewed_each_third_of_its_time(claimed, monkeypatch):
    now = claims.time.monotonic()
    renewed = []
    monkeypatch.setattr(claimed, "renew", lambda: renewed.append(True))
    for seconds, count in ((0, 0), (15, 0), (20.5, 1)):
        monkeypatch.setattr(claims.time, "monotonic", lambda: now + seconds)  # noqa: B023 - called at once
        claimed.beat()
        assert len(renewed) == count


def test_a_renewed_lease_is_not_renewed_again_at_once(claimed, monkeypatch):
    claimed._renew_at = 0
    claimed.beat()
    monkeypatch.setattr(claimed, "renew", lambda: pytest.fail("renewed twice"))
    claimed.beat()


def test_a_claim_that_is_left_can_be_taken_over_at_once(claimed):
    claimed.leave()
    assert session_row(claimed.session).attempts == 0
    assert take_over(session_row(claimed.session))


def test_a_claim_that_is_put_off_waits_and_counts_the_attempt(claimed):
    claimed.put_off(timedelta(minutes=5))
    row = session_row(claimed.session)
    assert (row.status, row.attempts) == ("FINALIZING", 1)
    assert 290 < seconds_left(row) <= 300
    assert take_over(row) is None


def test_a_claim_that_was_lost_puts_nothing_off(claimed):
    let_lease_end(claimed.session)
    take_over(session_row(claimed.session))
    claimed.put_off(timedelta(days=1))
    assert seconds_left(claimed.session) <= 60
    assert session_row(claimed.session).attempts == 0

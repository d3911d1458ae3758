"""Sessions as rows: which are open, overdue, claimable or dead, and where their bytes are staged."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from portal.models import UploadSession
from portal.storage.keys import check_key
from tests.samples import CHUNK, open_session

OPEN = {"INIT", "IN_PROGRESS"}
DEAD = {"FAILED", "ABORTED", "EXPIRED"}
EARLIER, LATER = timedelta(seconds=-1), timedelta(minutes=1)


@pytest.fixture
def session(ann, storage):
    """A session of two parts and a bit."""
    return open_session(ann, storage, size=2 * CHUNK + 1)


def put(session, **columns):
    """Write columns of the session past all rules."""
    UploadSession.objects.filter(pk=session.pk).update(**columns)


@pytest.mark.parametrize("status", UploadSession.Status.values)
def test_a_status_is_open_dead_or_neither(session, status):
    put(session, status=status)
    assert UploadSession.objects.open().exists() == (status in OPEN)
    assert UploadSession.objects.dead().exists() == (status in DEAD)


@pytest.mark.parametrize("status", UploadSession.Status.values)
def test_the_session_of_a_deleted_file_is_dead_whatever_its_status(session, status):
    put(session, status=status, file=None)
    assert UploadSession.objects.dead().exists()


@pytest.mark.parametrize("status", UploadSession.Status.values)
@pytest.mark.parametrize("end", [EARLIER, LATER])
def test_an_open_session_is_overdue_once_its_time_has_come(session, status, end):
    put(session, status=status, expires_at=Now() + end)
    assert UploadSession.objects.overdue().exists() == (status in OPEN and end == EARLIER)


@pytest.mark.parametrize("status", UploadSession.Status.values)
@pytest.mark.parametrize("end", [EARLIER, LATER])
def test_a_finalize_is_claimable_once_its_lease_has_run_out(session, status, end):
    put(session, status=status, lease_until=Now() + end)
    assert UploadSession.objects.claimable().exists() == (status == "FINALIZING" and end == EARLIER)


def test_sessions_belong_to_their_owner(session, ann, bob):
    assert UploadSession.objects.owned_by(ann.user).get() == session
    assert not UploadSession.objects.owned_by(bob.user).exists()


def test_a_staging_key_is_made_of_the_id_alone(session):
    assert check_key("staging", session.staging_key) == f"{session.pk.hex[-2:]}/{session.pk.hex}"


def test_every_part_is_one_chunk_but_the_last(session):
    assert [session.part_size(number) for number in (1, 2, 3)] == [CHUNK, CHUNK, 1]

"""Who may see and do what: one's own, and with the scope `service` everybody's files, to read."""

from uuid import uuid4

import pytest

from portal import access
from portal.access import DELETE, READ, SERVICE, UPLOAD
from portal.exceptions import InsufficientScope, NotFound
from portal.services.files import delete_file
from tests.samples import make_batch, make_caller, open_session, store_file

GETTERS = [access.get_batch, access.get_file, access.get_own_file, access.get_session]


@pytest.fixture
def ids(ann, storage):
    """The id of something of ann's for each getter."""
    session = open_session(ann, storage)
    return dict(zip(GETTERS, [make_batch(ann).pk, session.file_id, session.file_id, session.pk], strict=True))


@pytest.mark.parametrize("get", GETTERS)
def test_the_owner_gets_what_is_hers(ann, ids, get):
    assert get(ann, ids[get]).pk == ids[get]


@pytest.mark.parametrize("get", GETTERS)
def test_what_is_somebody_elses_cannot_be_told_from_what_is_not_there(bob, ids, get):
    errors = []
    for pk in (ids[get], uuid4()):
        with pytest.raises(NotFound) as refused:
            get(bob, pk)
        errors.append((refused.value.code, refused.value.detail, refused.value.extra))
    assert errors[0] == errors[1]


def test_the_runner_reads_the_files_of_everybody_and_nothing_else(ids):
    runner = make_caller("runner", SERVICE)
    assert access.get_file(runner, ids[access.get_file])
    assert access.files_of(runner).count() == 1
    for get in (access.get_own_file, access.get_batch, access.get_session):
        with pytest.raises(NotFound):
            get(runner, ids[get])


def test_the_runner_follows_the_batch_of_anybody_and_people_follow_their_own(ann, bob, ids):
    pk = ids[access.get_batch]
    for caller in (ann, make_caller("runner", SERVICE)):
        assert access.get_followed_batch(caller, pk).pk == pk
        with pytest.raises(NotFound):
            access.get_followed_batch(caller, uuid4())
    with pytest.raises(NotFound):
        access.get_followed_batch(bob, pk)


def test_no_scope_of_people_reads_the_files_of_others(ids):
    eve = make_caller("eve", UPLOAD, READ, DELETE)
    assert not access.files_of(eve).exists()


def test_lists_hold_what_is_ones_own(ann, bob, ids):
    for rows in (access.batches_of, access.files_of, access.sessions_of):
        assert rows(ann).count() == 1
        assert not rows(bob).exists()


def test_the_session_of_a_deleted_file_is_gone_for_its_owner(ann, storage, monkeypatch):
    file = store_file(ann, storage)
    session_id = file.session_id
    monkeypatch.setattr("portal.services.cleanup.remove_bytes", lambda session, storage: None)
    delete_file(file, storage=storage)
    with pytest.raises(NotFound):
        access.get_session(ann, session_id)
    assert not access.sessions_of(ann).exists()


def test_a_caller_needs_one_of_the_scopes(db):
    caller = make_caller("ann", READ)
    caller.require(READ)
    caller.require(READ, SERVICE)
    with pytest.raises(InsufficientScope):
        caller.require(UPLOAD)
    with pytest.raises(InsufficientScope):
        caller.require(UPLOAD, DELETE)


def test_a_browser_session_has_the_scopes_of_people_and_never_service(ann):
    caller = access.session_caller(ann.user)
    assert (caller.user, caller.scopes) == (ann.user, {UPLOAD, READ, DELETE})


def test_every_scope_is_explained():
    assert set(access.SCOPES) == {UPLOAD, READ, DELETE, SERVICE}
    assert all(access.SCOPES.values())

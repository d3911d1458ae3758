"""Bytes that no row names: only when they are old, by way of the trash, and never suspiciously many."""

from uuid import UUID, uuid4

import pytest
from django.db import OperationalError

from portal.exceptions import StorageUnavailable
from portal.models import UploadSession
from portal.services import cleanup
from portal.services.claims import claim_session, new_object_key
from portal.services.cleanup import sweep_unnamed
from portal.services.sessions import abort_session
from portal.storage.keys import trash_name
from tests.samples import open_session, ready_session, store_file
from tests.services.situations import A_DAY, failing, just_after, just_before, make_old, session_row, stored_bytes


def lay_down(storage, kind, *, age=A_DAY + 1):
    """Put bytes down that no row names; return their key."""
    name = uuid4().hex
    key = f"{name[-2:]}/{name}" if kind == "staging" else new_object_key()
    storage.create_staging(key if kind == "staging" else f"00/{name}")
    if kind == "objects":
        with storage.hold(f"00/{name}", key) as held:
            held.publish()
    make_old(storage, kind, key, age)
    return key


@pytest.mark.parametrize("kind", ["staging", "objects"])
def test_old_bytes_that_no_row_names_go_to_the_trash(db, storage, kind):
    key = lay_down(storage, kind)
    assert sweep_unnamed(storage=storage) == 1
    assert (storage.files[kind], list(storage.files["trash"])) == ({}, [trash_name(kind, key)])


def test_the_trash_is_emptied_a_day_later(db, storage):
    key = lay_down(storage, "staging")
    sweep_unnamed(storage=storage)
    assert sweep_unnamed(storage=storage) == 0
    assert len(storage.files["trash"]) == 1
    make_old(storage, "trash", trash_name("staging", key))
    assert sweep_unnamed(storage=storage) == 0
    assert not storage.files["trash"]


def test_once_a_stop_is_asked_for_nothing_more_is_moved_or_purged(db, storage):
    for kind in ("staging", "objects"):
        lay_down(storage, kind)
    sweep_unnamed(storage=storage)
    make_old(storage, "trash", next(iter(storage.files["trash"])))
    for kind in ("staging", "staging", "objects"):
        lay_down(storage, kind)
    before = {kind: sorted(files) for kind, files in storage.files.items()}
    assert sweep_unnamed(storage=storage, stopped=lambda: True) == 0
    assert {kind: sorted(files) for kind, files in storage.files.items()} == before
    # Both were listed, and one of them was moved by then.
    answers = [False] * 3 + [True] * 4
    assert sweep_unnamed(storage=storage, stopped=lambda: answers.pop(0)) == 1
    assert len(storage.files["staging"]) == len(storage.files["objects"]) == 1
    assert sweep_unnamed(storage=storage) == 2


@pytest.mark.parametrize("kind", ["staging", "objects"])
def test_young_bytes_stay_though_no_row_names_them(db, storage, kind):
    key = lay_down(storage, kind, age=A_DAY - 60)
    assert sweep_unnamed(storage=storage) == 0
    assert key in storage.files[kind]


def everything_is_old(storage):
    """Make all bytes a week old."""
    for kind, files in storage.files.items():
        for key in files:
            make_old(storage, kind, key, 7 * A_DAY)


def test_old_bytes_of_a_live_session_stay(ann, storage):
    sessions = [open_session(ann, storage), ready_session(ann, storage), ready_session(ann, storage)]
    claim_session(sessions[2])
    everything_is_old(storage)
    assert sweep_unnamed(storage=storage) == 0
    assert set(storage.files["staging"]) == {session.staging_key for session in sessions}


def test_old_bytes_of_a_stored_file_stay(ann, storage):
    file = store_file(ann, storage)
    everything_is_old(storage)
    assert sweep_unnamed(storage=storage) == 0
    # The file's own row is enough.
    UploadSession.objects.all().delete()
    assert sweep_unnamed(storage=storage) == 0
    assert stored_bytes(storage, file) == b"data"


def test_bytes_that_a_crash_left_at_their_destination_stay(ann, storage):
    session = ready_session(ann, storage)
    claim_session(session)
    with storage.hold(session.staging_key, session.object_key) as held:
        held.publish()
    everything_is_old(storage)
    assert sweep_unnamed(storage=storage) == 0
    assert session.object_key in storage.files["objects"]


def test_bytes_of_a_dead_session_are_not_for_the_sweep(ann, storage):
    session = open_session(ann, storage)
    abort_session(session)
    everything_is_old(storage)
    assert sweep_unnamed(storage=storage) == 0
    assert session.staging_key in storage.files["staging"]


def test_a_staging_file_that_a_stored_file_has_left_behind_is_swept(ann, storage):
    session = store_file(ann, storage).sessions.get()
    storage.create_staging(session.staging_key)
    everything_is_old(storage)
    assert sweep_unnamed(storage=storage) == 1
    assert not storage.files["staging"]
    assert len(storage.files["objects"]) == 1


def test_bytes_that_came_back_after_they_were_removed_are_swept(ann, storage):
    session = open_session(ann, storage)
    abort_session(session)
    cleanup.remove_bytes(session, storage=storage)
    storage.create_staging(session.staging_key)
    everything_is_old(storage)
    assert session_row(session).bytes_removed
    assert sweep_unnamed(storage=storage) == 1


def test_bytes_that_a_row_has_come_to_name_just_before_the_move_stay(ann, storage, monkeypatch):
    key = lay_down(storage, "staging")
    owner = open_session(ann, storage)

    def name_it():
        owner.pk = UUID(key.split("/")[1])
        owner.save(force_insert=True)

    just_before(monkeypatch, storage, "age_seconds", name_it)
    assert sweep_unnamed(storage=storage) == 0
    assert key in storage.files["staging"]


@pytest.mark.parametrize("what", ["touched", "gone"])
def test_bytes_that_were_touched_or_removed_just_before_the_move_stay(db, storage, monkeypatch, what):
    key = lay_down(storage, "objects")

    def change():
        if what == "gone":
            storage.remove_object(key)
        else:
            make_old(storage, "objects", key, -A_DAY)

    just_before(monkeypatch, storage, "age_seconds", change)
    assert sweep_unnamed(storage=storage) == 0
    assert not storage.files["trash"]


def test_bytes_are_listed_before_the_database_is_asked(ann, storage, monkeypatch):
    # A session that is opened in between has bytes that the list does not know, and a row for those that it does.
    asked = []
    listed = storage.old_keys
    monkeypatch.setattr(storage, "old_keys", lambda kind, **options: (asked.append(kind), listed(kind, **options))[1])
    just_after(monkeypatch, cleanup, "_named_staging", lambda: asked.append("rows"))
    lay_down(storage, "staging")
    sweep_unnamed(storage=storage)
    assert asked[:2] == ["staging", "rows"]


@pytest.mark.parametrize("kind", ["staging", "objects"])
def test_nothing_is_moved_when_the_database_cannot_be_asked(db, storage, monkeypatch, kind):
    key = lay_down(storage, kind)
    monkeypatch.setattr(cleanup, f"_named_{kind}", failing(OperationalError("gone")))
    with pytest.raises(OperationalError):
        sweep_unnamed(storage=storage)
    assert key in storage.files[kind]


def test_the_limits_of_a_sweep_are_those_of_the_design():
    assert (cleanup.UNNAMED_AGE_SECONDS, cleanup.SWEEP_LIMIT, cleanup.SWEEP_SHARE) == (A_DAY, 1000, 0.05)


@pytest.mark.parametrize("kind", ["staging", "objects"])
def test_more_than_a_thousand_are_refused_and_all_stay(db, storage, kind):
    for _ in range(1001):
        lay_down(storage, kind)
    with pytest.raises(StorageUnavailable):
        sweep_unnamed(storage=storage)
    assert (len(storage.files[kind]), storage.files["trash"]) == (1001, {})


@pytest.mark.parametrize(("young", "moved"), [(188, None), (189, 10), (400, 10)])
def test_more_than_the_limit_are_moved_while_they_are_no_more_than_five_percent(db, storage, monkeypatch, young, moved):
    monkeypatch.setattr(cleanup, "SWEEP_LIMIT", 9)
    for _ in range(10):
        lay_down(storage, "objects")
    for _ in range(young + 1):
        lay_down(storage, "objects", age=0)
    if moved is None:
        with pytest.raises(StorageUnavailable):
            sweep_unnamed(storage=storage)
    else:
        assert sweep_unnamed(storage=storage) == moved

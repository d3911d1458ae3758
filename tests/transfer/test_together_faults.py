"""What goes wrong in the midst of a step that stores several files is told to those whom it hits; nothing is left."""

import asyncio

import pytest
from django.db import OperationalError

from portal.models import UploadBatch
from portal.services import whole_records
from portal.services.cancels import cancel_batch
from portal.services.outcomes import record_whole
from portal.services.seals import seal_batch
from portal.storage.base import NoSpace
from portal.transfer import pools
from tests.samples import store_file
from tests.transfer.at_once import assert_stored

FILES = [(path, path.encode() * 10) for path in ("first", "a", "b", "c")]


def test_one_for_whom_there_is_no_space_is_refused_alone(put_at_once, monkeypatch):
    create, made = put_at_once.storage.create_object, []

    def create_but_the_third(key):
        made.append(key)
        if len(made) == 3:
            raise NoSpace("no space left")
        return create(key)

    monkeypatch.setattr(put_at_once.storage, "create_object", create_but_the_third)
    wires, sizes = put_at_once(*FILES)
    assert sizes == [1, 3]
    assert [wire.status for wire in wires] == [201, 201, 507, 201]
    assert_stored(put_at_once, **dict(FILES[:2] + FILES[3:]))


def test_one_whose_path_is_taken_meanwhile_is_refused_alone(put_at_once, ann):
    take = lambda: store_file(ann, put_at_once.storage, b"theirs", batch=put_at_once.batch, path="b")  # noqa: E731
    wires, sizes = put_at_once(*FILES, meanwhile=take)
    assert sizes == [1, 3]
    assert [wire.status for wire in wires] == [201, 201, 409, 201]
    assert wires[2].code == "path_taken"
    assert_stored(put_at_once, **dict(FILES) | {"b": b"theirs"})


@pytest.mark.parametrize("close", ["cancel", "seal"])
def test_those_who_come_too_late_for_the_batch_are_refused_and_nothing_of_them_is_left(put_at_once, close):
    def close_batch():
        batch = UploadBatch.objects.get()
        cancel_batch(batch, storage=put_at_once.storage) if close == "cancel" else seal_batch(batch)

    wires, _ = put_at_once(*FILES, meanwhile=close_batch)
    assert [wire.status for wire in wires] == [201, 409, 409, 409]
    assert {wire.code for wire in wires[1:]} == {"batch_cancelled" if close == "cancel" else "batch_sealed"}
    assert_stored(put_at_once, **dict(FILES[:1]))


def test_as_many_are_stored_as_the_quota_has_room_for(put_at_once, settings):
    settings.PORTAL_QUOTA_BYTES = 75
    wires, _ = put_at_once(*FILES)
    assert [wire.status for wire in wires] == [201, 201, 201, 429]
    assert_stored(put_at_once, **dict(FILES[:3]))


@pytest.mark.parametrize("landed", [True, False])
def test_a_commit_of_several_without_an_answer_is_read_back(put_at_once, monkeypatch, landed):
    def lose(owner, batch, arrivals, **options):
        if len(arrivals) == 1 or landed:
            files = record_whole(owner, batch, arrivals, **options)
        if len(arrivals) > 1:
            raise OperationalError("the connection is gone")
        return files

    monkeypatch.setattr(whole_records, "record_whole", lose)
    wires, _ = put_at_once(*FILES)
    assert [wire.status for wire in wires] == [201, *[201 if landed else 503] * 3]
    if landed:
        assert_stored(put_at_once, **dict(FILES))
    else:
        # It may land yet: the bytes are the sweep's to remove.
        assert put_at_once.storage.count_keys("objects") == 4


def test_who_is_cut_off_in_line_loses_and_leaves_nothing(put_at_once):
    wires, sizes = put_at_once(*FILES, cut_off=("first", "b"))
    assert sizes == [1, 3]
    assert [bool(wire.messages) for wire in wires] == [False, True, False, True]
    assert_stored(put_at_once, **dict(FILES))


def test_the_connection_of_each_step_is_looked_after(put_at_once, monkeypatch):
    looked = []
    monkeypatch.setattr(pools, "close_old_connections", lambda: looked.append(asyncio._get_running_loop()))
    put_at_once(("first", b"1"), ("a", b"2"))
    # Before and after each of two steps, and of two looks at headers if these come first; never in the event loop.
    assert len(looked) == (4 if put_at_once.early else 8)
    assert set(looked) == {None}

"""What an owner takes up: counted with each transition, refused where it is more than a quota, never by mistake."""

import pytest

from portal.exceptions import OutOfSpace, QuotaExceeded
from portal.models import IngestFile, OwnerUsage, UploadSession
from portal.services import declarations, openings
from portal.services.arrivals import Arrival
from portal.services.cleanup import expire_sessions
from portal.services.declarations import declare_files
from portal.services.entries import Entry
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.sessions import abort_session
from portal.services.usage import find_usage_drift, fix_usage, make_room, move_usage, refuse_over_quota
from portal.services.whole_files import begin_files
from tests.samples import make_batch, open_session, ready_session, send_parts, store_file
from tests.services.situations import drift, just_before, let_lifetime_end, seen_queries, set_columns


def taken(caller):
    """Return `(stored files, stored bytes, open sessions, open bytes)` of a caller."""
    row = OwnerUsage.objects.get(owner=caller.user)
    return row.stored_files, row.stored_bytes, row.open_sessions, row.open_bytes


def put_whole(caller, storage, batch, data, *paths, length=None):
    """Hand in a file on each path in one group; return their outcomes: a file, or an error's code."""
    group = begin_files(caller, batch and batch.pk, storage=storage)
    for path in paths:
        arrival = Arrival(path=path, original_filename="a", content_type="x/y", length=length)
        group.refuse_early(arrival)
        arrival.write(data, storage=storage)
        arrival.finish()
        group.add(arrival)
    arrivals = group.arrivals
    group.look()
    group.store()
    group.judge()
    group.record()
    group.close()
    return [arrival.error.code if arrival.error else arrival.file for arrival in arrivals]


def test_every_way_of_a_file_is_counted(ann, bob, storage):
    session = open_session(ann, storage, size=5)
    assert taken(ann) == (0, 0, 1, 5)
    send_parts(ann, storage, session, b"12345")
    session.refresh_from_db()
    file = finalize_session(session, storage=storage)
    assert taken(ann) == (1, 5, 0, 0)
    abort_session(open_session(ann, storage, size=7))
    assert taken(ann) == (1, 5, 0, 0)
    let_lifetime_end(open_session(ann, storage, size=7))
    expire_sessions(storage=storage)
    assert taken(ann) == (1, 5, 0, 0)
    delete_file(IngestFile.objects.get(pk=file.pk), storage=storage)
    assert taken(ann) == (0, 0, 0, 0)
    delete_file(open_session(ann, storage, size=3).file, storage=storage)
    put_whole(ann, storage, make_batch(ann), b"xyz", "a", "b")
    assert taken(ann) == (2, 6, 0, 0)
    store_file(bob, storage, b"1")
    assert (taken(ann), taken(bob)) == ((2, 6, 0, 0), (1, 1, 0, 0))
    assert drift() == []


def test_bytes_are_those_stored_and_those_declared_together(ann, storage, settings):
    settings.PORTAL_QUOTA_BYTES = 10
    store_file(ann, storage, b"1234")
    open_session(ann, storage, size=5)
    with pytest.raises(QuotaExceeded) as refused:
        open_session(ann, storage, size=2)
    assert refused.value.extra == {"quota": "bytes", "limit": 10, "used": 9, "wanted": 2}
    assert refused.value.retry_after
    open_session(ann, storage, size=1)
    assert taken(ann) == (1, 4, 2, 6)


def test_what_is_larger_than_the_quota_is_not_worth_another_try(ann, storage, settings):
    settings.PORTAL_QUOTA_BYTES = 10
    with pytest.raises(QuotaExceeded) as refused:
        open_session(ann, storage, size=11)
    assert refused.value.retry_after is None


def test_open_sessions_have_a_quota_and_ending_one_makes_room(ann, bob, storage, settings):
    settings.PORTAL_QUOTA_OPEN_SESSIONS = 2
    first, _ = open_session(ann, storage), open_session(ann, storage)
    with pytest.raises(QuotaExceeded) as refused:
        open_session(ann, storage)
    assert refused.value.extra == {"quota": "open_sessions", "limit": 2, "used": 2, "wanted": 1}
    open_session(bob, storage)
    abort_session(first)
    open_session(ann, storage)
    assert UploadSession.objects.count() == 4


@pytest.mark.parametrize(
    ("quota", "taken_up"),
    [("PORTAL_QUOTA_OPEN_SESSIONS", {"open_sessions": 1}), ("PORTAL_QUOTA_BYTES", {"open_bytes": 1})],
)
def test_what_was_in_the_way_and_has_just_gone_refuses_nobody(ann, settings, monkeypatch, quota, taken_up):
    setattr(settings, quota, 1)
    move_usage(ann.user.pk, **taken_up)
    freed = {name: -count for name, count in taken_up.items()}
    just_before(monkeypatch, type(OwnerUsage.objects.all()), "get", lambda: move_usage(ann.user.pk, **freed))
    move_usage(ann.user.pk, **taken_up)
    assert getattr(OwnerUsage.objects.get(), *taken_up) == 1


def test_how_much_room_there_is_costs_one_look(ann, settings):
    settings.PORTAL_QUOTA_BYTES = 10
    move_usage(ann.user.pk, open_bytes=4)
    arrival = Arrival(path="a", original_filename="a", content_type="x/y", length=None)
    with seen_queries() as queries:
        make_room(ann.user.pk, None, arrival)
    assert (arrival.room, len(queries)) == (6, 1)


def test_a_quota_that_was_made_smaller_stops_nothing_that_is_under_way(ann, storage, settings):
    session = ready_session(ann, storage, b"12345")
    settings.PORTAL_QUOTA_BYTES, settings.PORTAL_QUOTA_OPEN_SESSIONS = 1, 1
    file = finalize_session(session, storage=storage)
    assert file.status == "STORED"
    delete_file(IngestFile.objects.get(pk=file.pk), storage=storage)
    assert taken(ann) == (0, 0, 0, 0)


@pytest.mark.parametrize("batched", [True, False])
def test_a_file_that_comes_whole_is_refused_before_its_body_and_after_it(ann, storage, settings, batched):
    settings.PORTAL_QUOTA_BYTES = 5
    batch = make_batch(ann) if batched else None
    with pytest.raises(QuotaExceeded):
        put_whole(ann, storage, batch, b"123456", "a", length=6)
    with pytest.raises(QuotaExceeded):
        put_whole(ann, storage, batch, b"123456", "a")
    assert put_whole(ann, storage, batch, b"12345", "a")[0].status == "STORED"
    assert not list(storage.files["objects"])[1:]


def test_of_a_group_those_that_fit_are_stored(ann, storage, settings):
    settings.PORTAL_QUOTA_BYTES = 5
    outcomes = put_whole(ann, storage, make_batch(ann), b"12", "a", "b", "c")
    assert [getattr(outcome, "status", outcome) for outcome in outcomes] == ["STORED", "STORED", "quota_exceeded"]
    assert taken(ann) == (2, 4, 0, 0)
    assert drift() == []


def test_a_batch_may_have_so_many_files(ann, storage, settings):
    settings.PORTAL_QUOTA_BATCH_FILES = 2
    batch = make_batch(ann)
    failed = open_session(ann, storage, batch=batch, path="a")
    abort_session(failed)
    store_file(ann, storage, batch=batch, path="b")
    for refuse in (
        lambda: open_session(ann, storage, batch=batch, path="c"),
        lambda: put_whole(ann, storage, batch, b"1", "d"),
    ):
        with pytest.raises(QuotaExceeded) as refused:
            refuse()
        assert refused.value.extra["quota"] == "batch_files"
        assert refused.value.retry_after is None
    # A FAILED file that is opened again joins nothing.
    open_session(ann, storage, batch=batch, path="a")
    assert put_whole(ann, storage, make_batch(ann), b"1", "a", "b", "c")[-1] == "quota_exceeded"
    assert drift() == []


def test_a_full_disk_is_another_refusal_than_a_quota(ann, storage, settings):
    settings.PORTAL_QUOTA_BYTES, settings.PORTAL_MIN_FREE_BYTES = 10, 2**70
    with pytest.raises(OutOfSpace):
        open_session(ann, storage, size=1)


def test_without_quotas_nothing_is_asked(ann, storage, django_assert_num_queries):
    with django_assert_num_queries(0):
        refuse_over_quota(ann.user.pk, 10**15, sessions=10**6)


def test_drift_is_found_and_mended(ann, bob, storage):
    store_file(ann, storage, b"123")
    open_session(ann, storage, size=2)
    open_session(bob, storage)
    set_columns(OwnerUsage.objects.get(owner=ann.user), stored_bytes=7, open_sessions=0)
    found = [(drift.owner, drift.counter, drift.kept, drift.counted) for drift in find_usage_drift()]
    assert found == [("ann", "stored_bytes", 7, 3), ("ann", "open_sessions", 0, 1)]
    fix_usage(ann.user.pk)
    assert list(find_usage_drift()) == []
    assert taken(ann) == (1, 3, 1, 2)


def test_an_owner_whose_row_is_gone_is_found_and_mended(ann, storage):
    store_file(ann, storage, b"123")
    OwnerUsage.objects.all().delete()
    assert {drift.counter for drift in find_usage_drift()} == {"stored_files", "stored_bytes"}
    fix_usage(ann.user.pk)
    assert taken(ann) == (1, 3, 0, 0)


def test_what_frees_is_never_refused(ann, settings):
    settings.PORTAL_QUOTA_BYTES, settings.PORTAL_QUOTA_OPEN_SESSIONS = 1, 1
    move_usage(ann.user.pk, open_sessions=-1, open_bytes=-100)
    move_usage(ann.user.pk, stored_files=1, stored_bytes=50, open_sessions=-1, open_bytes=-50)
    assert taken(ann) == (1, 50, -2, -150)


@pytest.mark.parametrize("quota", [{"OPEN_SESSIONS": 3}, {"BYTES": 8}])
def test_of_declared_files_those_that_fit_get_a_session(ann, storage, settings, quota, django_assert_max_num_queries):
    for name, value in quota.items():
        setattr(settings, f"PORTAL_QUOTA_{name}", value)
    sizes = [3, 2, 7, 3] + [4] * 60
    entries = [Entry(path=str(number), size=size) for number, size in enumerate(sizes)]
    with django_assert_max_num_queries(40):
        declare_files(ann, make_batch(ann), entries, storage=storage, open_sessions=True)
    fit = [0, 1, 3] if "BYTES" in quota else [0, 1, 2]
    assert [number for number, entry in enumerate(entries) if entry.session] == fit
    assert {entry.error.code for entry in entries if not entry.session} == {"quota_exceeded"}
    assert taken(ann) == (0, 0, 3, sum(sizes[number] for number in fit))
    assert drift() == []


def test_room_that_is_taken_while_sessions_are_opened_is_looked_for_anew(ann, storage, settings, monkeypatch):
    settings.PORTAL_QUOTA_OPEN_SESSIONS = 3
    just_before(monkeypatch, openings, "_make_places", lambda: open_session(ann, storage))
    entries = [Entry(path=name, size=3) for name in "abc"]
    declare_files(ann, make_batch(ann), entries, storage=storage, open_sessions=True)
    assert [entry.session is not None for entry in entries] == [True, True, False]
    assert drift() == []


def test_declared_files_have_a_place_in_their_batch(ann, storage, settings, monkeypatch):
    settings.PORTAL_QUOTA_BATCH_FILES = 3
    batch = make_batch(ann)
    just_before(monkeypatch, declarations, "_record", lambda: open_session(ann, storage, batch=batch, path="other"))
    entries = [Entry(path=name, size=3) for name in "abcad"]
    declare_files(ann, batch, entries, storage=storage)
    assert [entry.action or entry.error.code for entry in entries] == [
        "upload",
        "upload",
        "quota_exceeded",
        "upload",
        "quota_exceeded",
    ]
    assert entries[2].error.extra == {"quota": "batch_files", "limit": 3, "used": 3, "wanted": 1}
    batch.refresh_from_db()
    assert (batch.total_files, batch.files.count(), drift()) == (3, 3, [])

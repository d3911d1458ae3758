"""What a service costs in queries, which is the same whether there are 10 rows of each kind or 10,000."""

import pytest
from django.db import connection
from django.utils import timezone

from portal.models import IngestFile, OwnerUsage, UploadBatch, UploadPart, UploadSession
from portal.services.arrivals import Arrival
from portal.services.batches import get_batch, list_batch_files, list_batches
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.part_records import list_parts
from portal.services.parts import begin_part
from portal.services.sessions import abort_session, create_session, list_sessions, received_ranges
from portal.services.whole_files import begin_files
from tests.databases import undone
from tests.samples import (
    CHUNK,
    insert_copies,
    make_batch,
    make_caller,
    open_session,
    ready_session,
    send_part,
    store_file,
)
from tests.services.situations import seen_queries, session_row


def fill(owner, batch, count):
    """Give `owner` so many batches, so many files in one of them with their sessions, and events."""
    described = {"owner": owner, "original_filename": "a", "content_type": "x/y", "size_bytes": 1}
    grid = {"owner": owner, "chunk_size_bytes": 1, "total_parts": 1, "total_size_bytes": 1}
    insert_copies(UploadBatch(owner=owner), count)
    paths = [f"p/{number:05}" for number in range(count)]
    files = insert_copies(IngestFile(batch=batch, status="FAILED", **described), count, path=paths)
    assert IngestFile.objects.filter(batch=batch).count() == count
    insert_copies(UploadSession(status="ABORTED", expires_at=timezone.now(), **grid), count, file_id=files)
    UploadBatch.objects.filter(pk=batch.pk).update(total_files=count, failed_count=count, total_bytes=count)


@pytest.fixture(scope="module", params=[10, 10_000], ids=["10 rows", "10000 rows"])
def filled(request, django_db_setup, django_db_blocker):
    """A batch of ann's with so many files, among so many batches: made once, in a transaction around its tests."""
    with django_db_blocker.unblock(), undone():
        ann = make_caller("ann")
        batch = make_batch(ann, expected_files=10**9)
        OwnerUsage.objects.create(owner=ann.user)
        fill(ann.user, batch, request.param)
        # Once: each test would look again, at its end, whether all that these rows refer to is there.
        connection.check_constraints()
        yield batch


@pytest.fixture
def batch(filled, ann):
    """That batch, as if this test had made it."""
    return UploadBatch.objects.get(pk=filled.pk)


def queries_of(action):
    """Return how many queries `action()` makes; BEGIN and COMMIT are not counted."""
    with seen_queries() as queries:
        action()
    return len(queries)


def test_making_a_session_in_a_batch_on_a_path_costs_six(ann, storage, batch):
    # The batch; the path; the file, the session, the counters of batch and owner.
    described = {"original_filename": "a", "total_size_bytes": 1, "storage": storage}
    assert queries_of(lambda: create_session(ann, **described, batch_id=batch.pk, path="new")) == 6


def test_making_a_session_alone_costs_three(ann, storage, batch):
    described = {"original_filename": "a", "total_size_bytes": 1, "storage": storage}
    assert queries_of(lambda: create_session(ann, **described)) == 3


def test_opening_a_failed_file_again_costs_six(ann, storage, batch):
    assert queries_of(lambda: open_session(ann, storage, batch=batch, path="p/00007")) == 6


def put_whole(caller, storage, batch, paths):
    """Store one small file on each path as one group."""
    group = begin_files(caller, batch.pk, storage=storage)
    for path in paths:
        group.add(Arrival(path=path, original_filename="a", content_type="x/y"))
    group.look()
    group.store()
    group.judge()
    group.record()


def test_a_whole_file_costs_eight_and_a_group_of_any_size_nine(ann, storage, batch):
    # The batch; again, and the paths; the files, the events, the counters, whether completed; over-full; the owner.
    assert queries_of(lambda: put_whole(ann, storage, batch, ["new"])) == 8
    assert queries_of(lambda: put_whole(ann, storage, batch, [f"new/{n}" for n in range(40)])) == 9


def test_a_part_costs_six(ann, storage, batch):
    # The session, the part; under the lock both again; the row, the session's counters.
    session = open_session(ann, storage, size=2, batch=batch)

    def send():
        writer = begin_part(ann, session.pk, 1, 2, storage=storage)
        writer.acquire()
        writer.write(b"ab")
        writer.sync()
        writer.record()
        writer.close()

    assert queries_of(send) == 6
    session.refresh_from_db()
    assert session.completed_parts == 1


def test_finalizing_a_file_of_a_batch_costs_nine(ann, storage, batch):
    # The claim; the parts; session and file, who owns it, the event; counters, whether it is complete, the owner.
    session = ready_session(ann, storage, b"data", batch=batch)
    session = UploadSession.objects.select_related("file").get(pk=session.pk)
    assert queries_of(lambda: finalize_session(session, storage=storage)) == 9


def test_finalizing_again_costs_nothing_more_than_the_look_at_the_session(ann, storage, batch):
    file = store_file(ann, storage, batch=batch)
    session = UploadSession.objects.select_related("file").get(pk=file.session_id)
    assert queries_of(lambda: finalize_session(session, storage=storage)) == 0


def test_aborting_costs_seven(ann, storage, batch):
    session = UploadSession.objects.select_related("file").get(pk=open_session(ann, storage, batch=batch).pk)
    assert queries_of(lambda: abort_session(session)) == 7


def test_deleting_a_stored_file_of_a_batch_costs_the_same(ann, storage, batch):
    file = IngestFile.objects.get(pk=store_file(ann, storage, batch=batch).pk)
    assert queries_of(lambda: delete_file(file, storage=storage)) == 14


def test_a_batch_with_its_counters_costs_one(ann, batch):
    assert queries_of(lambda: get_batch(ann, batch.pk)) == 1


def last_page(read):
    """Return the page before the last one of a list, from its end."""
    page = read(limit=7)
    return read(limit=7, cursor=page.next)


@pytest.mark.parametrize("query", [{}, {"status": "FAILED"}, {"path_prefix": "p/"}], ids=["all", "status", "path"])
def test_a_page_of_the_files_of_a_batch_costs_one(batch, query):
    first = list_batch_files(batch, ["id", "path"], limit=5, **query)
    assert len(first.rows) == 5
    following = {"limit": 5, "cursor": first.next, **query}
    assert queries_of(lambda: list_batch_files(batch, ["id", "path"], **following)) == 1


def test_a_page_of_ones_batches_costs_one(ann, batch):
    assert queries_of(lambda: list_batches(ann, ["id"], limit=5)) == 1


def test_a_page_of_ones_sessions_costs_one_more_for_the_parts_of_those_begun(ann, storage, batch):
    fields = ["id", "total_parts", "completed_parts"]
    assert queries_of(lambda: list_sessions(ann, fields, limit=5)) == 1
    for _ in range(3):
        send_part(ann, storage, open_session(ann, storage, size=2 * CHUNK), 1, b"x" * CHUNK)
    assert queries_of(lambda: list_sessions(ann, fields, limit=5)) == 2


def test_the_parts_of_a_session_cost_one(ann, storage, batch):
    session = open_session(ann, storage, size=10_000 * CHUNK)
    rows = (UploadPart(session=session, number=number, size_bytes=CHUNK) for number in range(1, 10_000, 2))
    UploadPart.objects.bulk_create(rows, batch_size=1000)
    assert queries_of(lambda: list_parts(session_row(session), ["number"], limit=1000)) == 2
    assert queries_of(lambda: received_ranges(session)) == 1

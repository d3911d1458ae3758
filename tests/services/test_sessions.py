"""Sessions: opened with their file, refused before anything is written, and what has arrived in them."""

import math
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from portal import exceptions
from portal.models import IngestFile, UploadBatch, UploadSession
from portal.services import openings
from portal.services.finalize import finalize_session
from portal.services.sessions import list_sessions, missing_ranges, received_ranges
from portal.storage import base
from tests.samples import CHUNK, make_batch, open_session, pattern, send_part, store_file
from tests.services.situations import counters, failing
from tests.strict import in_transaction

#: What a list of sessions is read with at the least.
LISTED = ["id", "total_parts", "completed_parts"]


def nothing_was_made():
    """Whether there is neither a file nor a session."""
    return not (IngestFile.objects.exists() or UploadSession.objects.exists())


def test_opening_a_session_makes_a_file_that_is_uploading(ann, storage):
    session = open_session(
        ann,
        storage,
        size=3 * CHUNK + 1,
        original_filename="report.pdf",
        content_type="application/pdf",
        sha256="a" * 64,
        metadata={"page": 1},
    )
    session.refresh_from_db()
    file = session.file
    assert (session.status, session.owner, session.total_size_bytes) == ("INIT", ann.user, 3 * CHUNK + 1)
    assert (session.chunk_size_bytes, session.total_parts, session.declared_sha256) == (CHUNK, 4, "a" * 64)
    assert (session.completed_parts, session.received_bytes, session.object_key) == (0, 0, "")
    assert (file.status, file.owner, file.session_id, file.batch) == ("UPLOADING", ann.user, session.pk, None)
    assert (file.original_filename, file.content_type) == ("report.pdf", "application/pdf")
    assert (file.size_bytes, file.sha256, file.metadata, file.path) == (3 * CHUNK + 1, "", {"page": 1}, None)


def test_a_session_lives_for_its_lifetime(ann, storage, settings):
    settings.PORTAL_SESSION_TTL_HOURS = 3
    session = open_session(ann, storage)
    assert abs(session.expires_at - timezone.now() - timedelta(hours=3)) < timedelta(minutes=1)


def test_a_file_without_bytes_has_no_parts_and_can_be_finalized_at_once(ann, storage):
    session = open_session(ann, storage, size=0)
    assert (session.total_parts, session.status) == (0, "INIT")
    file = finalize_session(session, storage=storage)
    assert (file.status, file.size_bytes) == ("STORED", 0)
    assert file.sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_staging_file_is_there_before_the_row_is_committed(ann, storage):
    seen = []

    def keep(session):
        assert in_transaction()
        seen.append(session.staging_key in storage.files["staging"])

    open_session(ann, storage, keep=keep)
    assert seen == [True]


def test_a_staging_file_that_cannot_be_made_leaves_no_row(ann, storage, monkeypatch):
    monkeypatch.setattr(storage, "create_staging", failing(base.StorageUnavailable("gone")))
    with pytest.raises(exceptions.StorageUnavailable):
        open_session(ann, storage, batch=(batch := make_batch(ann)))
    assert nothing_was_made()
    assert counters(batch) == (0, 0, 0, 0)


def test_an_opening_that_takes_too_long_gives_up_before_it_writes_a_row(ann, storage, monkeypatch):
    # Clean-up may take the bytes of an opening that has no row for a day.
    monkeypatch.setattr(openings, "OPENING_LIMIT_SECONDS", -1)
    with pytest.raises(exceptions.StorageUnavailable):
        open_session(ann, storage)
    assert nothing_was_made()


def test_a_failure_to_keep_the_answer_leaves_no_row(ann, storage):
    batch = make_batch(ann)
    with pytest.raises(RuntimeError):
        open_session(ann, storage, batch=batch, keep=failing(RuntimeError("cannot be kept")))
    assert nothing_was_made()
    assert counters(batch) == (0, 0, 0, 0)


def test_a_fault_of_the_database_is_not_taken_for_a_path_that_is_taken(ann, storage):
    with pytest.raises(IntegrityError):
        open_session(ann, storage, keep=failing(IntegrityError("something else")))


def test_too_little_free_space_is_refused_before_anything_is_made(ann, storage, settings):
    settings.PORTAL_MIN_FREE_BYTES, storage.capacity = 1000, 999
    with pytest.raises(exceptions.OutOfSpace):
        open_session(ann, storage)
    assert nothing_was_made()
    assert not storage.files["staging"]


def test_a_file_over_the_maximum_is_refused(ann, storage, settings):
    settings.PORTAL_MAX_FILE_SIZE = 100
    with pytest.raises(exceptions.FileTooLarge):
        open_session(ann, storage, size=101)
    assert nothing_was_made()
    assert open_session(ann, storage, size=100)


def test_a_batch_of_somebody_else_is_not_found(ann, bob, storage):
    batch = make_batch(ann)
    with pytest.raises(exceptions.NotFound):
        open_session(bob, storage, batch=batch)
    assert nothing_was_made()
    assert not storage.files["staging"]


@pytest.mark.parametrize(
    ("column", "error"),
    [
        ("sealed_at", exceptions.BatchSealed),
        ("completed_at", exceptions.BatchCompleted),
        ("cancelled_at", exceptions.BatchCancelled),
    ],
)
def test_a_batch_that_is_closed_takes_no_file(ann, storage, column, error):
    batch = make_batch(ann)
    UploadBatch.objects.update(**{column: timezone.now()})
    with pytest.raises(error):
        open_session(ann, storage, batch=batch)
    assert nothing_was_made()
    assert not storage.files["staging"]


def test_received_and_missing_parts_are_ranges(ann, storage):
    session = open_session(ann, storage, size=9 * CHUNK)
    for number in (9, 2, 3, 5):
        send_part(ann, storage, session, number, pattern(CHUNK, number))
    received = received_ranges(session)
    assert received == [[2, 3], [5, 5], [9, 9]]
    assert missing_ranges(received, 9) == [[1, 1], [4, 4], [6, 8]]


@pytest.mark.parametrize(
    ("received", "total", "missing"),
    [
        ([], 0, []),
        ([], 3, [[1, 3]]),
        ([[1, 3]], 3, []),
        ([[1, 1]], 3, [[2, 3]]),
        ([[3, 3]], 3, [[1, 2]]),
        ([[1, 50], [52, 52]], 52, [[51, 51]]),
    ],
)
def test_missing_parts_are_what_was_not_received(received, total, missing):
    assert missing_ranges(received, total) == missing


def test_the_parts_of_a_session_add_up_to_its_size(ann, storage):
    for size in (1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK):
        session = open_session(ann, storage, size=size)
        sizes = [session.part_size(number) for number in range(1, session.total_parts + 1)]
        assert sum(sizes) == size
        assert len(sizes) == math.ceil(size / CHUNK)
        assert all(part == CHUNK for part in sizes[:-1])


def test_ones_own_sessions_are_listed_newest_first_and_by_status(ann, bob, storage):
    first, second = open_session(ann, storage), open_session(ann, storage)
    open_session(bob, storage)
    stored = store_file(ann, storage)
    assert [row["id"] for row in list_sessions(ann, LISTED).rows] == [stored.session_id, second.pk, first.pk]
    assert [row["id"] for row in list_sessions(ann, LISTED, status="COMPLETE").rows] == [stored.session_id]


def test_each_session_of_a_list_has_the_ranges_that_it_has_alone(ann, bob, storage):
    sessions = [open_session(ann, storage, size=4 * CHUNK) for _ in range(4)]
    for session, numbers in zip(sessions, ([], [1, 2, 4], [3], [1, 2, 3, 4]), strict=True):
        for number in numbers:
            send_part(ann, storage, session, number, b"x" * CHUNK)
    send_part(bob, storage, open_session(bob, storage, size=2 * CHUNK), 1, b"x" * CHUNK)
    rows = list_sessions(ann, LISTED).rows
    assert [row["received_parts"] for row in rows] == [[[1, 4]], [[3, 3]], [[1, 2], [4, 4]], []]
    assert [row["received_parts"] for row in rows] == [received_ranges(session) for session in reversed(sessions)]

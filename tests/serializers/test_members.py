"""What goes out: the same members from a row of a list, from the model, and in the API's description."""

import pytest

from portal.models import IngestFile, UploadBatch
from portal.serializers import batches, files, sessions
from portal.services.sessions import list_sessions, received_ranges
from tests.samples import make_batch, open_session, ready_session, store_file
from tests.views.shapes import BATCH, FILE, PART, SESSION


def declared(serializer):
    """Return the members that a serializer describes."""
    return set(serializer().fields)


def test_what_is_described_is_what_the_contract_says():
    assert declared(batches.BatchOut) == BATCH
    assert declared(files.FileOut) == FILE
    assert declared(sessions.SessionOut) == SESSION
    assert declared(sessions.PartOut) == PART
    for page in (batches.BatchPage, files.FilePage, sessions.SessionPage, sessions.PartPage):
        assert declared(page) == {"next", "previous", "results"}


def test_a_batch_of_a_list_is_the_batch_itself(ann, storage):
    batch = make_batch(ann, name="a", metadata={"b": 1}, expected_files=3)
    store_file(ann, storage, batch=batch)
    open_session(ann, storage, batch=batch)
    row = UploadBatch.objects.values(*batches.BATCH_FIELDS).get()
    members = batches.render_batch(row)
    assert members == batches.batch_members(UploadBatch.objects.get())
    assert set(members) == BATCH
    assert members["pending_count"] == 1


@pytest.mark.parametrize("stored", [True, False])
def test_a_file_of_a_list_is_the_file_itself(ann, storage, stored):
    batch = make_batch(ann)
    make = store_file if stored else ready_session
    make(ann, storage, b"data", batch=batch, path="a/b", metadata={"c": None})
    row = IngestFile.objects.values(*files.FILE_FIELDS).get()
    members = files.render_file(row)
    assert members == files.file_members(IngestFile.objects.get())
    assert set(members) == FILE
    assert (members["batch_id"], bool(members["sha256"])) == (batch.pk, stored)
    assert members["sha256"] != ""


def test_a_session_of_a_list_is_the_session_itself(ann, storage):
    session = ready_session(ann, storage, b"data", batch=make_batch(ann))
    row = list_sessions(ann, sessions.SESSION_FIELDS).rows[0]
    members = sessions.session_members(session, received_ranges(session))
    assert set(members) == SESSION
    assert sessions.render_session(row) == members
    assert (members["received_parts"], members["missing_parts"]) == ([[1, 1]], [])


def test_a_part_of_a_list_has_its_digest(ann, storage):
    session = ready_session(ann, storage, b"data")
    row = session.parts.values(*sessions.PART_FIELDS).get()
    part = sessions.render_part(row)
    assert set(part) == PART
    assert part["digest"] == {"algorithm": "blake3", "value": row["blake3"]}


def test_what_may_be_left_out_has_its_default():
    batch = batches.BatchIn(data={})
    assert batch.is_valid()
    assert batch.validated_data == {"name": "", "metadata": {}, "expected_files": None}
    session = sessions.SessionIn(data={"original_filename": "a", "total_size_bytes": 0})
    assert session.is_valid()
    assert session.validated_data == {
        "original_filename": "a",
        "content_type": "application/octet-stream",
        "total_size_bytes": 0,
        "batch_id": None,
        "path": None,
        "sha256": "",
        "chunk_size_bytes": None,
        "metadata": {},
    }


def test_two_answers_do_not_share_their_default_metadata():
    first, second = batches.BatchIn(data={}), batches.BatchIn(data={})
    assert first.is_valid()
    assert second.is_valid()
    assert first.validated_data["metadata"] is not second.validated_data["metadata"]

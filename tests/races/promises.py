"""What must hold of rows, events, counters and bytes after every race, whoever won it."""

import hashlib

from blake3 import blake3

from portal.models import IngestFile, OutboxEvent, UploadBatch, UploadSession
from tests.services.situations import drift

Status = UploadSession.Status

#: By the status of a session: that of its file, and the events that tell of it.
OUTCOMES = {
    Status.INIT: (IngestFile.Status.UPLOADING, []),
    Status.IN_PROGRESS: (IngestFile.Status.UPLOADING, []),
    Status.FINALIZING: (IngestFile.Status.UPLOADING, []),
    Status.COMPLETE: (IngestFile.Status.STORED, ["file.uploaded"]),
    Status.FAILED: (IngestFile.Status.FAILED, ["file.failed"]),
    Status.ABORTED: (IngestFile.Status.FAILED, ["file.failed"]),
    Status.EXPIRED: (IngestFile.Status.FAILED, ["file.failed"]),
}


def assert_kept(session, root):
    """Every promise about one session holds, and about its bytes below `root`; return its row."""
    row = UploadSession.objects.select_related("file").get(pk=session.pk)
    parts = list(row.parts.order_by("number"))
    assert row.completed_parts == len(parts)
    assert row.received_bytes == sum(part.size_bytes for part in parts)
    file_status, event_types = OUTCOMES[row.status]
    assert events_of(row) == event_types
    if row.file.session_id == row.pk:
        assert row.file.status == file_status
    data = bytes_of(row, root)
    if data is not None:
        for part in parts:
            start = (part.number - 1) * row.chunk_size_bytes
            assert blake3(data[start : start + part.size_bytes]).hexdigest() == part.blake3, f"part {part.number}"
    if row.status == Status.COMPLETE:
        assert len(parts) == row.total_parts
        assert (len(data), hashlib.sha256(data).hexdigest()) == (row.file.size_bytes, row.file.sha256)
    return row


def events_of(session):
    """Return the types of the events that tell of this session."""
    return sorted(OutboxEvent.objects.filter(subject_id=session.pk).values_list("event_type", flat=True))


def bytes_of(row, root):
    """Return the bytes of a session where they belong, None of a dead one; they are nowhere else."""
    staged = root / "staging" / row.staging_key
    stored = root / "objects" / row.object_key if row.object_key else None
    if row.status in UploadSession.DEAD:
        assert not staged.exists()
        return None
    if row.status == Status.COMPLETE:
        assert not staged.exists()
        return stored.read_bytes()
    return staged.read_bytes()


def assert_counted(batch, **expected):
    """The counters of the batch are exactly these, and none of any batch or owner has drifted from its rows."""
    row = UploadBatch.objects.get(pk=batch.pk)
    assert {name: getattr(row, name) for name in expected} == expected
    assert drift() == []


def files_below(root):
    """Return the names of all staged and stored files."""
    return sorted(path.name for kind in ("staging", "objects") for path in (root / kind).rglob("*") if path.is_file())

"""Seal: no file joins any more, what was expected is there, and a batch with nothing pending is completed once."""

import hashlib

import pytest

from portal.exceptions import BatchCancelled, BatchSealed, SealMismatch, Sha256Mismatch
from portal.models import OutboxEvent
from portal.services.files import delete_file
from portal.services.finalize import finalize_session
from portal.services.receipts import digest_manifest, get_receipt
from portal.services.seals import seal_batch
from portal.services.sessions import abort_session
from tests.samples import make_batch, open_session, ready_session, store_file
from tests.services.situations import set_columns


def completions(batch):
    """Return how many batch.completed events tell of the batch."""
    return OutboxEvent.objects.filter(event_type="batch.completed", subject_id=batch.pk).count()


def seal(batch, **expected):
    """Seal the batch as it is in the database now, and return it."""
    batch.refresh_from_db()
    seal_batch(batch, **expected)
    batch.refresh_from_db()
    return batch


def test_nothing_joins_a_sealed_batch(ann, storage):
    batch = seal(make_batch(ann))
    with pytest.raises(BatchSealed):
        open_session(ann, storage, batch=batch)


def test_a_batch_with_nothing_pending_is_completed_by_its_seal(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    assert seal(batch).completed_at is not None
    assert completions(batch) == 1


def test_sealing_again_changes_nothing(ann):
    batch = seal(make_batch(ann))
    first = batch.sealed_at
    assert seal(batch, expected_files=7).sealed_at == first
    assert completions(batch) == 1


@pytest.mark.parametrize("end", ["stored", "aborted", "deleted"])
def test_a_sealed_batch_is_completed_by_the_end_of_its_last_file(ann, storage, end):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    session = ready_session(ann, storage, batch=batch)
    assert seal(batch).completed_at is None
    if end == "stored":
        finalize_session(session, storage=storage)
    elif end == "aborted":
        abort_session(session)
    else:
        delete_file(session.file, storage=storage)
    batch.refresh_from_db()
    assert batch.completed_at is not None
    assert batch.status == ("PARTIAL" if end == "aborted" else "COMPLETE")
    assert completions(batch) == 1


def test_the_end_of_a_file_completes_no_batch_that_is_not_sealed(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    abort_session(open_session(ann, storage, batch=batch))
    batch.refresh_from_db()
    assert (batch.completed_at, completions(batch)) == (None, 0)


@pytest.mark.parametrize(("expected", "missing", "extra"), [(3, 1, 0), (1, 0, 1), (0, 0, 2)])
def test_another_number_of_files_is_a_mismatch_and_nothing_is_sealed(ann, storage, expected, missing, extra):
    batch = make_batch(ann)
    for _ in range(2):
        store_file(ann, storage, batch=batch)
    with pytest.raises(SealMismatch) as refused:
        seal(batch, expected_files=expected)
    assert (refused.value.extra["missing"], refused.value.extra["extra"]) == (missing, extra)
    batch.refresh_from_db()
    assert batch.sealed_at is None


def test_what_the_batch_was_made_with_is_expected_unless_the_seal_says_otherwise(ann, storage):
    batch = make_batch(ann, expected_files=2)
    store_file(ann, storage, batch=batch)
    with pytest.raises(SealMismatch):
        seal(batch)
    sealed = seal(batch, expected_files=1)
    assert (sealed.expected_files, sealed.status) == (1, "COMPLETE")


def test_what_failed_beside_those_that_completed_a_batch_does_not_keep_it_from_its_seal(ann, storage):
    batch = make_batch(ann, expected_files=2)
    store_file(ann, storage, batch=batch)
    session = open_session(ann, storage, batch=batch)
    abort_session(session)
    store_file(ann, storage, batch=batch)
    batch.refresh_from_db()
    assert (batch.completed_at is not None, batch.total_files) == (True, 3)
    with pytest.raises(SealMismatch):
        seal(batch, expected_files=2)
    sealed = seal(batch)
    assert sealed.sealed_at
    assert (sealed.expected_files, sealed.status) == (2, "PARTIAL")


def test_a_manifest_seals_only_what_it_lists(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, b"one", batch=batch, path="one")
    listed = digest_manifest(batch)
    session = ready_session(ann, storage, batch=batch, path="two")
    finalize_session(session, storage=storage)
    with pytest.raises(SealMismatch) as refused:
        seal(batch, manifest_sha256=listed)
    found = refused.value.extra["manifest_sha256"]
    assert found != listed
    assert seal(batch, manifest_sha256=found).sealed_at is not None


def lines(*files):
    """Return the digest of the manifest of these `(path, data)`."""
    manifest = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in files)
    return hashlib.sha256(manifest.encode()).hexdigest()


def test_what_is_on_its_way_is_in_the_manifest_as_it_was_declared(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, b"one", batch=batch, path="a")
    sessions = [
        ready_session(ann, storage, b"two", batch=batch, path="b", sha256=hashlib.sha256(b"two").hexdigest()),
        ready_session(ann, storage, b"four", batch=batch, path="d", sha256=hashlib.sha256(b"five").hexdigest()),
    ]
    with pytest.raises(SealMismatch):
        seal(batch, manifest_sha256=lines(("a", b"one")))
    with pytest.raises(Sha256Mismatch):
        finalize_session(sessions.pop(), storage=storage)  # it has failed, and is in no manifest
    whole = lines(("a", b"one"), ("b", b"two"))
    assert seal(batch, manifest_sha256=whole).sealed_at is not None
    finalize_session(*sessions, storage=storage)
    batch.refresh_from_db()
    assert get_receipt(batch)["manifest_sha256"] == whole


def test_a_file_on_its_way_without_a_digest_is_in_no_manifest(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, b"one", batch=batch, path="a")
    ready_session(ann, storage, b"two", batch=batch, path="b")
    for manifest in (lines(("a", b"one")), lines(("a", b"one"), ("b", b"two"))):
        with pytest.raises(SealMismatch):
            seal(batch, manifest_sha256=manifest)


@pytest.mark.parametrize("change", ["fails", "is another"])
def test_what_changes_while_the_manifest_is_compared_is_compared_again(ann, storage, monkeypatch, change):
    batch = make_batch(ann)
    _, going = (store_file(ann, storage, path.encode() * 3, batch=batch, path=path) for path in ("a", "b"))
    session = ready_session(ann, storage, b"c", batch=batch, path="c", sha256=hashlib.sha256(b"c").hexdigest())
    whole, digests = lines(("a", b"aaa"), ("b", b"bbb"), ("c", b"c")), []

    def digest_and_change(*arguments, **options):
        digests.append(digest_manifest(*arguments, **options))
        if len(digests) == 1 and change == "fails":
            abort_session(session)
        elif len(digests) == 1:
            delete_file(going, storage=storage)
            store_file(ann, storage, b"other", batch=batch, path="d")
        return digests[-1]

    monkeypatch.setattr("portal.services.seals.digest_manifest", digest_and_change)
    with pytest.raises(SealMismatch):
        seal(batch, manifest_sha256=whole)
    assert digests[0] == whole != digests[1]
    batch.refresh_from_db()
    assert batch.sealed_at is None


def test_a_cancelled_batch_is_not_sealed(ann):
    batch = make_batch(ann)
    set_columns(batch, cancelled_at=batch.created_at)
    with pytest.raises(BatchCancelled):
        seal(batch)

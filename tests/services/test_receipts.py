"""Receipts: a manifest that `sha256sum -c` takes, bytewise by path, and the same for ever."""

import hashlib
import subprocess

import pytest

from portal.exceptions import BatchNotComplete
from portal.models import IngestFile
from portal.services import receipts
from portal.services.receipts import get_receipt, manifest_line, read_manifest, safe_name
from portal.services.seals import seal_batch
from portal.services.sessions import abort_session
from tests.needs import need_tool
from tests.samples import make_batch, open_session, store_file

#: In no order; bytewise "Z" is before "a", "é" after "z", and U+FFFD before an emoji of two UTF-16 units.
PATHS = ["z", "a/b", "a b", "Z", "é", "-dash", "a.b", "\N{PILE OF POO}", "\N{REPLACEMENT CHARACTER}", "a/b/c", "*", "a"]


def sealed_batch(ann, storage, paths=PATHS, **fields):
    """Return a completed batch with a file on each path, whose bytes are its path."""
    batch = make_batch(ann)
    for path in paths:
        store_file(ann, storage, path.encode(), batch=batch, path=path, **fields)
    batch.refresh_from_db()
    seal_batch(batch)
    return batch


def manifest(batch):
    """Return the whole manifest."""
    return b"".join(read_manifest(batch))


def test_the_manifest_is_sorted_bytewise_by_path(ann, storage):
    batch = sealed_batch(ann, storage)
    names = [line[66:] for line in manifest(batch).splitlines()]
    assert names == sorted(path.encode() for path in PATHS)


def test_sha256sum_takes_it(ann, storage, tmp_path):
    need_tool("sha256sum")
    batch = sealed_batch(ann, storage, original_filename="odd\\name")
    loose = store_file(ann, storage, b"loose", batch=make_batch(ann), original_filename="odd\\na/me")
    IngestFile.objects.filter(pk=loose.pk).update(batch=batch)
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True) if path != "a" else None
    lines = manifest(batch)
    files = {path: path.encode() for path in PATHS if path not in ("a", "a/b")} | {f"{loose.pk}/odd\\na_me": b"loose"}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    # "a" and "a/b" cannot both be files of one folder.
    kept = b"".join(line for line in lines.splitlines(True) if line[66:].strip() not in (b"a", b"a/b"))
    done = subprocess.run(["sha256sum", "-c", "--strict", "-"], input=kept, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b": OK\n") == len(files)


def test_a_name_that_needs_it_is_escaped_as_coreutils_does():
    assert manifest_line("plain", "0" * 64) == b"0" * 64 + b"  plain\n"
    assert manifest_line("a\\b\nc\rd", "0" * 64) == b"\\" + b"0" * 64 + b"  a\\\\b\\nc\\rd\n"


@pytest.mark.parametrize(("filename", "safe"), [("a.txt", "a.txt"), ("../a", ".._a"), ("..", "_"), (".", "_")])
def test_a_file_name_becomes_one_segment(filename, safe):
    assert safe_name(filename) == safe


def test_only_what_is_stored_is_listed(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, b"kept", batch=batch, path="kept")
    abort_session(open_session(ann, storage, batch=batch, path="lost"))
    batch.refresh_from_db()
    seal_batch(batch)
    assert manifest(batch) == manifest_line("kept", hashlib.sha256(b"kept").hexdigest())


def test_the_receipt_has_the_digest_of_the_manifest_and_keeps_it(ann, storage, monkeypatch):
    batch = sealed_batch(ann, storage)
    first = get_receipt(batch)
    assert first["manifest_sha256"] == hashlib.sha256(manifest(batch)).hexdigest()
    assert (first["stored_count"], first["status"]) == (len(PATHS), "COMPLETE")
    batch.refresh_from_db()
    monkeypatch.setattr(receipts, "digest_manifest", lambda batch: pytest.fail("reckoned again"))
    assert get_receipt(batch) == first


def test_there_is_no_receipt_before_the_batch_is_completed(ann, storage):
    batch = make_batch(ann)
    store_file(ann, storage, batch=batch)
    batch.refresh_from_db()
    with pytest.raises(BatchNotComplete):
        get_receipt(batch)


def test_there_is_no_receipt_while_a_file_is_still_pending(ann, storage):
    # More joined than was expected: the batch is completed, and one of them may still be STORED.
    batch = make_batch(ann, expected_files=1)
    open_session(ann, storage, batch=batch)
    store_file(ann, storage, batch=batch)
    batch.refresh_from_db()
    assert batch.completed_at is not None
    with pytest.raises(BatchNotComplete):
        get_receipt(batch)


def test_a_manifest_of_many_files_is_read_in_blocks(ann, storage, monkeypatch):
    monkeypatch.setattr(receipts, "ROWS", 2)
    monkeypatch.setattr(receipts, "BLOCK_BYTES", 100)
    paths = [f"p{number}" for number in range(7)]
    batch = sealed_batch(ann, storage, paths)
    blocks = list(read_manifest(batch))
    assert len(blocks) > 2
    assert [line[66:].decode() for line in b"".join(blocks).splitlines()] == paths

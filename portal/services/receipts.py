"""Receipts: what was stored in a batch that is complete, as a manifest that `sha256sum -c` takes."""

import hashlib
from contextlib import suppress
from heapq import merge

from django.db.models import Case, F, When
from django.db.models.functions import Now

from portal.exceptions import BatchNotComplete, StatusConflict
from portal.models import IngestFile, ManifestBlock, UploadBatch
from portal.services.transactions import write_transaction

#: The columns of a batch that a receipt tells, besides its digest; none of them changes once there is one.
RECEIPT_FIELDS = (
    "name status total_files stored_count failed_count total_bytes stored_bytes created_at completed_at"
).split()
#: Files read at a time, and bytes given out at a time: memory does not grow with the batch.
ROWS, BLOCK_BYTES, BLOCKS = 1000, 64 * 2**10, 10
#: What a file has or will have when it comes as it was declared.
PROMISED_SHA256 = Case(When(status=IngestFile.Status.STORED, then=F("sha256")), default=F("declared_sha256"))
#: How coreutils writes a name with one of these in it, after a backslash at the start of the line.
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


def get_receipt(batch):
    """Return the members of the batch's receipt; raises BatchNotComplete. The digest is reckoned once and kept."""
    refuse_incomplete(batch)
    if not batch.manifest_sha256:
        try:
            batch.manifest_sha256 = digest_manifest(batch)
            UploadBatch.objects.filter(pk=batch.pk, manifest_sha256="").update(manifest_sha256=batch.manifest_sha256)
        except StatusConflict:
            batch.refresh_from_db()  # who deletes the files has kept it
    members = {name: getattr(batch, name) for name in RECEIPT_FIELDS}
    return {"batch_id": batch.pk, **members, "manifest_sha256": batch.manifest_sha256}


def keep_manifest(batch):
    """Keep the manifest of a completed batch by itself, so that its files may be deleted; again changes nothing."""
    # Somebody else may be doing the same: the lines are the same until it is all kept, and the files begin to go.
    with suppress(StatusConflict):
        _keep_lines(batch)
    batch.refresh_from_db()


def _keep_lines(batch):
    digest = hashlib.sha256()
    for number, block in enumerate(read_manifest(batch)):
        digest.update(block)
        kept = ManifestBlock(batch=batch, number=number, text=block.decode())
        with write_transaction():
            ManifestBlock.objects.bulk_create([kept], ignore_conflicts=True)
    with write_transaction():
        there = UploadBatch.objects.filter(pk=batch.pk, files_deleted_at__isnull=True)
        there.update(files_deleted_at=Now(), manifest_sha256=digest.hexdigest())


def refuse_incomplete(batch):
    """Raise BatchNotComplete unless the batch is completed and none of its files is pending: then nothing changes."""
    if batch.completed_at is None or batch.pending_count:
        raise BatchNotComplete(_what_is_wanting(batch))


def _what_is_wanting(batch):
    """Return what keeps a batch from its receipt, None for what BatchNotComplete says of itself."""
    if batch.cancelled_at:
        return "The batch was cancelled: there is no receipt of it."
    if batch.pending_count:
        return None
    if batch.expected_files and batch.total_files < batch.expected_files:
        return f"The batch has {batch.total_files} of the {batch.expected_files} files that it expects: no receipt yet."
    return "Nothing of the batch is pending: seal it, and there is a receipt."


def digest_manifest(batch, *, promised=False):
    """Return the SHA-256 of the manifest of what is STORED now; one pass over the rows.

    With `promised`, of what will be STORED when all that is on its way has come as it was declared.
    """
    digest = hashlib.sha256()
    for block in read_manifest(batch, promised=promised):
        digest.update(block)
    return digest.hexdigest()


def read_manifest(batch, *, promised=False):
    """Yield the manifest in blocks of bytes: `<sha256>  <path>` for each STORED file, bytewise by path.

    With `promised`, files on their way are in it with the SHA-256 that was declared, or none, which no digest has.

    A file without a path is listed as `<file id>/<safe name>`. Lines are those of coreutils' `sha256sum`. Raises
    StatusConflict when the files of a completed batch are being deleted meanwhile: asked again, it is all there.
    """
    if batch.files_deleted_at:
        for text in batch.manifest_blocks.order_by("number").values_list("text", flat=True).iterator(BLOCKS):
            yield text.encode()
        return
    if promised:
        files, known = batch.files.exclude(status=IngestFile.Status.FAILED), PROMISED_SHA256
    else:
        files, known = batch.files.filter(status=IngestFile.Status.STORED), F("sha256")
    block = bytearray()
    for name, sha256 in merge(_with_path(files, known), _without_path(files, known)):
        block += manifest_line(name.decode(), sha256)
        if len(block) >= BLOCK_BYTES:
            _refuse_deleted(batch)
            yield bytes(block)
            block.clear()
    _refuse_deleted(batch)
    if block:
        yield bytes(block)


def _refuse_deleted(batch):
    # The mark is set before the first file goes: what was read until now was all there.
    if batch.completed_at and UploadBatch.objects.filter(pk=batch.pk, files_deleted_at__isnull=False).exists():
        raise StatusConflict("The files of the batch are being deleted; ask again.")


def manifest_line(name, sha256):
    """Return one line of the manifest in bytes, with coreutils' escapes where the name needs them."""
    escaped = "".join(ESCAPES.get(character, character) for character in name)
    mark = "" if escaped == name else "\\"
    return f"{mark}{sha256}  {escaped}\n".encode()


def safe_name(filename):
    """Return `filename` as one segment of a path."""
    name = filename.replace("/", "_")
    return "_" if name in (".", "..") else name


def _with_path(files, known):
    """Yield `(path in bytes, sha256)` in bytewise order, each block of rows by a query of its own."""
    last = ""
    while rows := list(files.filter(path__gt=last).order_by("path").values_list("path", known)[:ROWS]):
        for path, sha256 in rows:
            yield path.encode(), sha256
        last = rows[-1][0]


def _without_path(files, known):
    rest, last = files.filter(path__isnull=True).order_by("id"), None
    while rows := list(
        (rest.filter(pk__gt=last) if last else rest).values_list("pk", "original_filename", known)[:ROWS]
    ):
        for pk, filename, sha256 in rows:
            yield f"{pk}/{safe_name(filename)}".encode(), sha256
        last = rows[-1][0]

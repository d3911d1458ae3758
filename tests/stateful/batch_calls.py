"""What it makes of the model to make, seal and cancel a batch and to delete a file, and the answers that are right."""

from tests.stateful.model import Batch, digest_of
from tests.stateful.outcomes import UNDONE, told


def create_batch(model, luck, name, expected):
    """POST /batches, with the name as Idempotency-Key."""
    if any(batch.name == name for batch in model.batches):
        return told(200)
    if not luck():
        return UNDONE
    model.batches.append(Batch(name, expected))
    return told(201)


def seal(model, luck, batch, expected, manifest):
    """POST seal; `manifest` is a digest, or None."""
    batch = model.batches[batch]
    if batch.sealed:
        return told(200)
    if batch.cancelled:
        return told(409, "batch_cancelled")
    expected = batch.expected if expected is None else expected
    if expected not in (None, model.count(batch)["total_files"]):
        return told(409, "seal_mismatch")
    if manifest not in (None, digest_of(model.manifest(batch, promised=True).encode())):
        return told(409, "seal_mismatch")
    if not luck():
        return UNDONE
    batch.sealed, batch.expected = True, expected
    model.complete(batch)
    return told(200)


def _give_up(model, luck, batch):
    """End what is pending; return whether all of it was."""
    expected = [file for file in model.files_of(batch) if file.status == "EXPECTED"]
    if expected and not luck():
        return False
    for file in expected:
        model.fail(file, "aborted")
    uploading = [one for one in model.sessions if one.file.batch is batch and one.open and not one.gone]
    if uploading and not luck():
        return False
    for session in uploading:
        model.fail(session.file, "aborted", session, "ABORTED")
    return True


def cancel(model, luck, batch, delete):
    """DELETE a batch, with its files or without."""
    batch = model.batches[batch]
    if batch.completed and not delete:
        return told(409, "batch_completed")
    if not batch.cancelled and not batch.completed:
        if not luck():
            return UNDONE
        batch.cancelled = True
    if not _give_up(model, luck, batch):
        return UNDONE
    files = model.files_of(batch)
    if delete and (files or batch.completed):
        if not luck():
            return UNDONE
        if batch.completed:
            batch.receipt = model.manifest(batch)
            batch.kept = model.count(batch)
        for file in files:
            model.remove(file)
    return told(204)


def delete_file(model, luck, file):
    """DELETE a file."""
    file = model.files[file]
    if file.batch and file.batch.completed:
        return told(409, "batch_completed")
    if not luck():
        return UNDONE
    model.remove(file)
    model.complete(file.batch)
    return told(204)

"""What the calls that bring whole files make of the model, and what they may be answered with."""

from tests.stateful.model import TO_BRING, TO_JOIN, TO_REOPEN, File, digest_of
from tests.stateful.outcomes import FAULTS, FAULTY, UNDONE, Told, refused, told


def _store_whole(model, luck, batch, path, data, *, reasons=()):
    """Return `(status, codes)` of one whole file; status None when it came to nothing."""
    file, reasons = model.file_on(batch, path), set(reasons)
    if file and file.status == "STORED":
        if file.data != data:
            reasons.add("path_taken")
        return (409, reasons) if reasons else (200, {None})
    if file is None:
        reasons |= batch.closed(TO_JOIN) if batch else set()
    elif file.status == "UPLOADING" or (
        file.status == "EXPECTED" and not file.is_declared_as(len(data), digest_of(data))
    ):
        reasons |= {"path_taken"} | batch.closed(TO_JOIN)
    else:
        reasons |= batch.closed(TO_REOPEN if file.status == "FAILED" else TO_BRING)
    if reasons:
        return 409, reasons
    if not luck():
        return None, FAULTS
    if file is None:
        model.files.append(file := File(batch, path, path.rpartition("/")[2], len(data), ""))
    file.name = path.rpartition("/")[2]
    model.store(file, data)
    return 201, {None}


def put_file(model, luck, batch, path, data, harm):
    """PUT a whole file."""
    status, codes = _store_whole(model, luck, model.batches[batch], path, data, reasons={harm} if harm else ())
    return UNDONE if status is None else refused(codes) if status == 409 else told(status)


def post_file(model, luck, name, data):
    """POST a whole file without a batch, with the name as Idempotency-Key."""
    if any(file.batch is None and file.name == name for file in model.files):
        return told(200)
    if not luck():
        return UNDONE
    model.files.append(file := File(None, None, name, len(data), ""))
    model.store(file, data)
    return told(201)


def post_many(model, luck, batch, members, end):
    """POST a tar or a form of `(path, data, refusal)`, which breaks off by the code `end` if that is not empty."""
    batch, items, met = model.batches[batch], [], {}
    if batch.cancelled or (batch.completed and not model.count(batch)["pending_count"]):
        return refused(batch.closed(TO_JOIN))
    for path, data, refusal in members:
        before, reasons = met.get(path), {refusal} - {None}
        if before == 201:
            items.append({("REJECTED", code) for code in {"path_taken", *reasons}})
            continue
        status, codes = _store_whole(model, luck, batch, path, data, reasons=reasons)
        word = "STORED" if status in (200, 201) else "REJECTED"
        if word == "REJECTED" and luck.faulty:
            # What would be refused anyway may meet the fault before that is found.
            codes = codes | FAULTS
        items.append({(word, code) for code in codes})
        if before == 200:
            items[-1].add(("REJECTED", "path_taken"))
        met[path] = status
    if end:
        items.append({("REJECTED", end)})
    undone = FAULTY if luck.faulty else ()
    return Told(frozenset({(200, None), *undone}), tuple(items))

"""What declaring files makes of the model, as JSON or as a manifest, and what it may be answered with."""

from tests.stateful.model import TO_JOIN, TO_REOPEN, File
from tests.stateful.outcomes import FAULTY, LOST, UNDONE, Told
from tests.stateful.session_calls import bring

UPLOAD, STORED, RESUME = {("upload", None)}, {("stored", None)}, {("resume", None)}
#: So many lines of a manifest are declared together here.
BLOCK_LINES = 2


def declare(model, luck, batch, entries, open_sessions, reads):
    """POST files as JSON: `entries` are `(path, size, sha256)`; only who `reads` is told of bytes that are known."""
    batch = model.batches[batch]
    words = _declare_together(model, luck, batch, entries, reads)
    if words is None:
        return UNDONE
    for place, (path, *_) in enumerate(entries):
        if open_sessions and words[place] == UPLOAD:
            file = model.file_on(batch, path)
            if file.status == "UPLOADING":
                # By an entry before it, on the same path.
                words[place] = UPLOAD | RESUME
            elif luck():
                bring(model, file, file.name, file.size, file.declared)
            else:
                words[place] = LOST
    return _told(luck, words)


def put_manifest(model, luck, batch, entries, end, reads):
    """PUT a manifest: `entries` are as above, or None for a line that cannot be read; it may break off by `end`."""
    words = []
    for start in range(0, len(entries), BLOCK_LINES):
        block = entries[start : start + BLOCK_LINES]
        done = _declare_together(model, luck, model.batches[batch], [entry for entry in block if entry], reads)
        if done is None:
            return UNDONE
        words += [done.pop(0) if entry else {("rejected", "invalid")} for entry in block]
    return _told(luck, words + ([{("rejected", end)}] if end else []))


def _told(luck, words):
    return Told(frozenset({(200, None), *(FAULTY if luck.faulty else ())}), tuple(words))


def _declare_together(model, luck, batch, entries, reads):
    """Return the words of each, or None when it came to nothing."""
    known = {(file.sha256, file.size) for file in model.files if reads and file.status == "STORED"}
    if not luck():
        return None
    words, refused, told = [], {}, {}
    for path, *rest in entries:
        # Once refused, what is said of the same path in the same breath may be too: the contract leaves it open.
        word = refused[path] if path in refused and not luck.either() else _declare(model, batch, path, *rest)
        words.append(word)
        if word not in (UPLOAD, STORED, RESUME):
            refused[path] = word
    for (path, _, sha256), word in zip(entries, words, strict=True):
        if word == UPLOAD:
            told[path] = told.get(path, False) or bool(sha256)
    stored = {path for path in told if _store_known(model, luck, model.file_on(batch, path), known, told[path])}
    return [
        STORED if word == UPLOAD and path in stored else word for word, (path, *_) in zip(words, entries, strict=True)
    ]


def _store_known(model, luck, file, known, told):
    """Store a file whose bytes are known; return whether it was."""
    if (file.declared, file.size) not in known:
        return False
    # One that was declared with its digest before, and is not now, may be looked at or not.
    if not (luck() if told else luck.either()):
        return False
    model.store(file, next(one.data for one in model.files if (one.sha256, one.size) == (file.declared, file.size)))
    return True


def _declare(model, batch, path, size, sha256):
    file = model.file_on(batch, path)
    if file is None or file.status == "FAILED":
        if reasons := batch.closed(TO_REOPEN if file else TO_JOIN):
            return {("rejected", code) for code in reasons}
        if file is None:
            model.files.append(file := File(batch, path, "", size, ""))
        file.name, file.size, file.status = path.rpartition("/")[2], size, "EXPECTED"
        file.declared, file.error = sha256, None
        return {("upload", None)}
    if not file.is_declared_as(size, sha256):
        return {("rejected", "path_taken")}
    if file.status == "STORED":
        return {("stored", None)}
    if file.status == "EXPECTED" and batch.cancelled:
        return {("rejected", "batch_cancelled")}
    file.declared = file.declared or sha256
    if file.status == "UPLOADING":
        session = model.session_of(file)
        session.declared = file.declared
        return {("resume", None)}
    return {("upload", None)}

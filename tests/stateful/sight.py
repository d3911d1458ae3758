"""What the portal shows of one owner, in the words of the model: through its lists, and some of its rows."""

from collections import Counter

from portal.models import IngestFile, OutboxEvent, OwnerUsage, UploadSession
from portal.services.reconcile import find_drift
from portal.services.usage import find_usage_drift

COUNTERS = ("total_files", "stored_count", "failed_count", "pending_count", "total_bytes", "stored_bytes")
ALL = "limit=1000"


def look(doors):
    """Return `(view, ids)`: what is there without ids, and the ids of batches, files and sessions by what they are."""
    batches, files, sessions = (
        doors.get(f"{path}?{ALL}")["results"] for path in ("/batches", "/files", "/uploads/sessions")
    )
    names = {batch["id"]: batch["name"] for batch in batches}
    keys = {file["id"]: (names.get(file["batch_id"]), file["path"] or file["original_filename"]) for file in files}
    told = OutboxEvent.objects.filter(owner__username=doors.owner)
    view = {
        "batches": {batch["name"]: _describe_batch(batch) for batch in batches},
        "files": {keys[file["id"]]: _describe_file(file) for file in files},
        "sessions": sorted((_describe_session(session, keys) for session in sessions), key=str),
        "declared": sorted(_find_declared(keys), key=str),
        "events": Counter(_describe_event(event, names) for event in told),
    }
    ids = {
        "batches": {batch["name"]: batch["id"] for batch in batches},
        "files": {key: pk for pk, key in keys.items()},
        # Newest first: of the sessions of one file the newest is the one that may be new.
        "sessions": [(session["session_id"], keys[session["file_id"]]) for session in sessions],
    }
    return view, ids


def _find_declared(keys):
    coming = IngestFile.objects.filter(pk__in=keys, status__in=["EXPECTED", "UPLOADING"])
    yield from ((keys[str(pk)], sha256) for pk, sha256 in coming.values_list("pk", "declared_sha256"))
    open_ = UploadSession.objects.open().filter(file__in=keys)
    yield from ((keys[str(pk)], sha256) for pk, sha256 in open_.values_list("file", "declared_sha256"))


def _describe_batch(batch):
    counted = {name: batch[name] for name in COUNTERS}
    return batch["status"], bool(batch["sealed_at"]), bool(batch["completed_at"]), batch["expected_files"], counted


def _describe_file(file):
    assert (file["status"] == "STORED") == bool(file["stored_at"]) == bool(file["sha256"]), file
    return file["status"], file["error"] and file["error"]["code"], file["size_bytes"], file["sha256"]


def _describe_session(session, keys):
    received = [n for first, last in session["received_parts"] for n in range(first, last + 1)]
    missing = [n for first, last in session["missing_parts"] for n in range(first, last + 1)]
    assert sorted(received + missing) == list(range(1, session["total_parts"] + 1)), session
    assert session["completed_parts"] == len(received), session
    return keys[session["file_id"]], session["status"], session["total_size_bytes"], received


def _describe_event(event, names):
    file, batch = event.payload.get("file", {}), event.payload.get("batch")
    if batch:
        return event.event_type, batch["name"], None
    return event.event_type, names.get(file["batch_id"]), file["path"] or file["filename"]


def adopt(model, ids):
    """Give the ids that are shown to what has none in the model yet."""
    for batch in model.batches:
        batch.id = ids["batches"][batch.name]
    for file in model.files:
        assert file.id in (None, ids["files"][file.key]), f"{file.key} has another id"
        file.id = ids["files"][file.key]
    known = {session.id for session in model.sessions}
    new = {key: pk for pk, key in reversed(ids["sessions"]) if pk not in known}
    for session in model.sessions:
        if session.id is None and not session.gone:
            session.id = new[session.file.key]


def differences(seen, wanted):
    """Return what differs between two views, for people."""
    lines = []
    for name in wanted:
        if isinstance(wanted[name], dict):
            pairs = {key: (seen[name].get(key), wanted[name].get(key)) for key in {*seen[name], *wanted[name]}}
            lines += [f"{name} {key}: is {is_}, should be {due}" for key, (is_, due) in pairs.items() if is_ != due]
        elif seen[name] != wanted[name]:
            lines.append(f"{name}: are {seen[name]}, should be {wanted[name]}")
    return "\n".join(lines)


def _stored(models):
    return [file for model in models for file in model.files if file.data is not None]


def check_bytes(models, storage):
    """Each STORED file has its bytes."""
    kept = {bytes(file.data) for file in storage.files["objects"].values()}
    lost = [file.key for file in _stored(models) if file.data not in kept]
    assert not lost, f"the bytes of {lost} are gone"


def check_usage(model, owner):
    """What the owner takes up is what it has; of a batch the view says so."""
    stored = [file for file in model.files if file.status == "STORED"]
    sizes = [one.size for one in model.sessions if one.open and not one.gone]
    wanted = (len(stored), sum(file.size for file in stored), len(sizes), sum(sizes))
    fields = ("stored_files", "stored_bytes", "open_sessions", "open_bytes")
    found = OwnerUsage.objects.filter(owner__username=owner).values_list(*fields).first() or (0, 0, 0, 0)
    assert found == wanted, f"the owner's {fields} are {found}, should be {wanted}"


def check_drift():
    """No counter differs from its rows."""
    drift = [*find_drift(), *find_usage_drift()]
    assert not drift, "\n".join(map(str, drift))


def check_leftovers(models, storage):
    """After a day and a clean-up, what is kept is the bytes of STORED files and of open sessions, and nothing else."""
    open_ = {one.id.replace("-", ""): one for model in models for one in model.sessions if one.open and not one.gone}
    # Where there are no locks, a session's only part may stand where its file will be, and it needs no upload.
    named = {key: key.rpartition("/")[2] for key in storage.files["objects"]}
    objects = [file for key, file in storage.files["objects"].items() if storage.locks or named[key] not in open_]
    assert sorted(bytes(file.data) for file in objects) == sorted(file.data for file in _stored(models))
    staged = {key.rpartition("/")[2] for key in storage.files["staging"]}
    needed = {name for name, one in open_.items() if storage.locks or one.total_parts > 1}
    assert needed <= staged <= set(open_)

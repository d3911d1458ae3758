"""Bytes that their owner has stored already: what is declared with their size and SHA-256 needs no upload.

The storage gives them a second key, durable before a row names it; from then on neither file knows of the other. What
cannot be had so is to be uploaded like anything else: nobody is told why.
"""

import threading
import time
from contextlib import contextmanager

from django.conf import settings
from django.db.models import OuterRef, Subquery

from portal import access
from portal.exceptions import PortalError, StorageUnavailable
from portal.models import IngestFile
from portal.services.arrivals import Arrival
from portal.services.cleanup import discard_object
from portal.services.inspection import inspect, takes_long
from portal.services.limits import max_file_size
from portal.services.space import storage_errors, storage_turn
from portal.services.whole_files import FileGroup

Status = IngestFile.Status

#: How long one call goes on with copies, and then with looks into what was copied; what is left over is to be sent.
COPY_SECONDS = INSPECT_SECONDS = 5
#: So many calls of a process wait for a scanner at once: they hold threads that all requests want.
JUDGES = 2
_judges = threading.BoundedSemaphore(JUDGES)


class KnownArrival(Arrival):
    """A declared file whose bytes are stored at `source`, and do not come in: they get its own key as well."""

    sha256 = ""

    def __init__(self, file):
        names = {"original_filename": file.original_filename, "content_type": file.content_type, "path": file.path}
        super().__init__(**names, length=file.size_bytes)
        self.size, self.sha256 = file.size_bytes, file.declared_sha256
        self.declared_id, self.source, self.reopens = file.pk, file.known_key, file


def may_be_known(caller, entries):
    """Whether the bytes of any of `entries` may be such as the caller has stored, and may know of."""
    digests = {entry.sha256 for entry in entries if entry.pending and entry.sha256}
    if not digests or not settings.PORTAL_KNOWN_BYTES or access.READ not in caller.scopes:
        return False
    return _stored_by(caller).filter(sha256__in=digests).exists()


def store_known(caller, batch, entries, *, storage):
    """Make STORED, all together, those of `entries` to be uploaded whose bytes the caller has stored already.

    At most some seconds' worth of them; whatever stands in the way of one (its bytes are gone, what a scanner says, a
    quota, its batch, a fault) leaves it to be uploaded.
    """
    wanted = {entry.file_id for entry in entries if entry.action == "upload" and entry.session is None}
    arrivals = _find(caller, wanted, storage)
    copied = _copy(arrivals, storage)
    group = FileGroup(caller.user, batch, storage)
    try:
        for arrival in _judge(copied, storage):
            group.add(arrival)
        group.record()
    finally:
        for arrival in copied:
            # What became of a COMMIT without an answer may show later.
            if not arrival.named and not arrival.unsure:
                discard_object(arrival.key, storage=storage)
    stored = {arrival.declared_id: arrival.file.pk for arrival in group.arrivals if arrival.file}
    for entry in entries:
        if entry.action == "upload" and entry.file_id in stored:
            entry.action, entry.file_id = "stored", stored[entry.file_id]


def _stored_by(caller):
    return IngestFile.objects.owned_by(caller.user).filter(status=Status.STORED)


def _find(caller, ids, storage):
    """Return a KnownArrival for each declared file whose bytes are known, by one query."""
    same = {"sha256": OuterRef("declared_sha256"), "size_bytes": OuterRef("size_bytes")}
    # The newest: an older one may have as many names as a file can have.
    known = _stored_by(caller).filter(**same, storage_backend=storage.backend).order_by("-id")
    largest = min(storage.copies_up_to, max_file_size())
    declared = IngestFile.objects.filter(pk__in=ids, status=Status.EXPECTED, size_bytes__lte=largest)
    declared = declared.annotate(known_key=Subquery(known.values("storage_key")[:1]))
    found = declared.exclude(declared_sha256="").filter(known_key__isnull=False).order_by("pk")
    return [KnownArrival(file) for file in found]


def _copy(arrivals, storage):
    """Return those whose bytes are at their own keys now, durably."""
    if not arrivals:
        return []
    try:
        with storage_turn(storage), storage_errors():
            done = storage.copy_objects({arrival.key: arrival.source for arrival in arrivals}, seconds=COPY_SECONDS)
    except PortalError:
        return []
    return [arrival for arrival in arrivals if arrival.key in done]


def _judge(arrivals, storage):
    """Return those that may be stored as things stand today, by an answer that comes in time."""
    until = time.monotonic() + INSPECT_SECONDS

    def beat():
        if time.monotonic() > until:
            raise StorageUnavailable

    with _judge_turn() as free:
        for arrival in arrivals if free else ():
            try:
                beat()
                inspect(arrival.key, storage=storage, beat=beat)
                arrival.judged = True
            except (PortalError, FileNotFoundError):
                continue
    return [arrival for arrival in arrivals if arrival.judged]


@contextmanager
def _judge_turn():
    """Tell whether a scanner may be waited for now; without one there is nothing to wait for."""
    if not takes_long():
        yield True
        return
    free = _judges.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            _judges.release()

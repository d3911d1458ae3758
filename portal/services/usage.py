"""What an owner takes up, and the quotas: one row for each owner that counts exactly, whoever comes at once."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import BigIntegerField, Count, F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from portal.models import IngestFile, OwnerUsage, UploadSession
from portal.models.prepared import Prepared, Slot, slots
from portal.services.batches import refuse_full_batch
from portal.services.limits import over_quota
from portal.services.transactions import write_transaction

COUNTERS = ("stored_files", "stored_bytes", "open_sessions", "open_bytes")
BLOCK = 50

_MOVE = Prepared(
    lambda: (
        OwnerUsage.objects.filter(**slots(OwnerUsage, "owner_id")),
        {name: F(name) + Slot(name, BigIntegerField()) for name in COUNTERS},
    )
)


@dataclass(frozen=True)
class UsageDrift:
    """One counter of one owner that differs from the rows."""

    owner_id: int
    owner: str
    counter: str
    kept: int
    counted: int

    def __str__(self):
        return f"owner {self.owner}: {self.counter} is {self.kept}, the rows say {self.counted}"


def move_usage(owner_id, *, stored_files=0, stored_bytes=0, open_sessions=0, open_bytes=0):
    """Move the counters of an owner by what one transition did; raises QuotaExceeded when that takes more than is left.

    Only inside the transaction of that transition, only when it won, and after the batch's counters: the row of a busy
    owner is locked from here to the end of the commit. What frees something, or turns declared bytes into stored ones,
    is never refused.
    """
    by = dict(zip(COUNTERS, (stored_files, stored_bytes, open_sessions, open_bytes), strict=True))
    size, sessions = max(stored_bytes + open_bytes, 0), max(open_sessions, 0)

    def move():
        if not (size or sessions) or not any(_quotas().values()):
            return _MOVE.write(owner_id=owner_id, **by)
        within = OwnerUsage.objects.filter(owner_id=owner_id).with_room(size, sessions=sessions, **_quotas())
        return within.update(**{name: F(name) + number for name, number in by.items()})

    if move():
        return
    # Two may be the first: the second waits for the commit of the other here.
    OwnerUsage.objects.bulk_create([OwnerUsage(owner_id=owner_id)], ignore_conflicts=True)
    while not move():
        # What was in the way may be gone by now: then there is room.
        if error := _lack(OwnerUsage.objects.get(owner_id=owner_id), size, sessions):
            raise error


def refuse_over_quota(owner_id, size, *, sessions=0, joins=None):
    """Raise QuotaExceeded when `size` more bytes, or so many sessions, do not fit, or the batch that it joins is full.

    Nothing is reserved: this is asked before the body, so that it need not come; `move_usage` is what counts. Returns
    the owner's usage; None without quotas.
    """
    if joins is not None:
        refuse_full_batch(joins)
    if not any(_quotas().values()):
        return None
    usage = OwnerUsage.objects.filter(owner_id=owner_id).first() or OwnerUsage(owner_id=owner_id)
    if error := _lack(usage, size, sessions):
        raise error
    return usage


def find_over_quota(owner_id, sizes):
    """Return `{key: QuotaExceeded}` of those new sessions, `{key: bytes}`, that do not fit beside the ones before."""
    if not any(_quotas().values()):
        return {}
    usage, errors = OwnerUsage.objects.filter(owner_id=owner_id).first() or OwnerUsage(owner_id=owner_id), {}
    for key, size in sizes.items():
        if error := _lack(usage, size, 1):
            errors[key] = error
        else:
            usage.open_sessions += 1
            usage.open_bytes += size
    return errors


def make_room(owner_id, batch, arrival):
    """Tell a file that comes whole how many bytes there are for it; raises QuotaExceeded when it is known not to fit.

    Before the body, so that it need not come; nothing is reserved.
    """
    usage = refuse_over_quota(owner_id, arrival.length or 0, joins=None if arrival.reopens else batch)
    if settings.PORTAL_QUOTA_BYTES:
        arrival.room = max(0, settings.PORTAL_QUOTA_BYTES - usage.stored_bytes - usage.open_bytes)


def find_usage_drift(*, owner_ids=None):
    """Yield a UsageDrift for each counter that differs from the rows; each owner is read in one statement."""
    last, rows = None, _recounted().order_by("pk")
    if owner_ids is not None:
        rows = rows.filter(pk__in=owner_ids)
    while True:
        block = list((rows.filter(pk__gt=last) if last is not None else rows)[:BLOCK])
        for user in block:
            for name in COUNTERS:
                kept, counted = getattr(user, f"kept_{name}"), getattr(user, f"counted_{name}")
                if kept != counted:
                    yield UsageDrift(user.pk, user.get_username(), name, kept, counted)
        if len(block) < BLOCK:
            return
        last = block[-1].pk


def fix_usage(owner_id):
    """Set the counters of one owner to what the rows say, in one transaction that holds the owner's row."""
    with write_transaction():
        # The row is locked first, then counted: no transition can commit in between.
        move_usage(owner_id)
        user = _recounted().get(pk=owner_id)
        counted = {name: getattr(user, f"counted_{name}") for name in COUNTERS}
        OwnerUsage.objects.filter(owner_id=owner_id).update(**counted)


def _quotas():
    return {"bytes_quota": settings.PORTAL_QUOTA_BYTES, "sessions_quota": settings.PORTAL_QUOTA_OPEN_SESSIONS}


def _lack(usage, size, sessions):
    """Return the QuotaExceeded of the first quota that is too small, or None."""
    quota = settings.PORTAL_QUOTA_OPEN_SESSIONS
    if quota and sessions and usage.open_sessions + sessions > quota:
        return over_quota("open_sessions", quota, usage.open_sessions, sessions)
    quota, used = settings.PORTAL_QUOTA_BYTES, usage.stored_bytes + usage.open_bytes
    if quota and used + size > quota:
        return over_quota("bytes", quota, used, size)
    return None


def _recounted():
    """Users with `kept_` and `counted_` columns for each counter, read in one statement."""
    files = IngestFile.objects.filter(owner=OuterRef("pk"), status=IngestFile.Status.STORED)
    sessions = UploadSession.objects.alive().filter(owner=OuterRef("pk"))
    counts = {
        "stored_files": (files, Count("pk")),
        "stored_bytes": (files, Sum("size_bytes")),
        "open_sessions": (sessions, Count("pk")),
        "open_bytes": (sessions, Sum("total_size_bytes")),
    }
    kept = OwnerUsage.objects.filter(pk=OuterRef("pk"))
    columns = {f"kept_{name}": Coalesce(Subquery(kept.values(name)), 0) for name in COUNTERS}
    for name, (rows, count) in counts.items():
        counted = rows.order_by().values("owner").annotate(n=count).values("n")
        columns[f"counted_{name}"] = Coalesce(Subquery(counted), 0)
    return get_user_model().objects.annotate(**columns)

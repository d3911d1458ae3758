"""Every state in which something can get stuck, until when it is fine, and what to do once it is not.

Rows are asked by the database's clock. Each state has a deadline that is well past what the workers need when they
run; what is past it will not go away by itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from portal.exceptions import StorageUnavailable
from portal.services import stuck
from portal.services.heartbeats import SILENT_SECONDS

MINUTE, MINUTES, HOUR = timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)
#: How many of a state are named.
EXAMPLES = 3

START_WORKER = "see that a worker runs (manage.py run_worker) and what its log says"
NOT_BY_US = "the portal does not do this by itself: look whether rows were changed or restored by hand"


@dataclass(frozen=True)
class State:
    """One state: after `deadline` it counts as stuck; `find(deadline, storage)` yields what is."""

    name: str
    deadline: timedelta
    what: str
    advice: str
    find: Callable = field(repr=False)
    #: Whether finding it reads the whole storage, or all rows.
    slow: bool = False


@dataclass(frozen=True)
class Finding:
    """What is stuck in one state: how many, and the first of them as text."""

    state: State
    count: int
    examples: list[str]


def examine(*, storage, quick=False, progress=lambda state: None) -> Iterator[Finding]:
    """Yield a Finding for each state that something is stuck in; changes nothing. `quick` leaves out the slow ones."""
    for state in STATES:
        if quick and state.slow:
            continue
        progress(state.name)
        count, examples = 0, []
        try:
            for text in state.find(state.deadline, storage):
                count += 1
                if count <= EXAMPLES:
                    examples.append(str(text))
        except StorageUnavailable as error:
            count += 1
            examples.append(f"could not be looked at to the end: {error.detail}")
        if count:
            yield Finding(state, count, examples)


#: In the order in which they are looked at: what explains others comes first.
STATES = (
    State(
        "storage",
        timedelta(0),
        "does not answer, or has less than twice PORTAL_MIN_FREE_BYTES free",
        "give it room, or see why it does not answer: uploads are refused until then",
        stuck.full_disk,
    ),
    State(
        "scanner",
        timedelta(0),
        "cannot be asked, and nothing is stored without its verdict",
        "start it, or mend PORTAL_SCANNER; files wait until then, at most a session's lifetime",
        stuck.silent_scanner,
    ),
    State(
        "worker",
        timedelta(seconds=SILENT_SECONDS),
        "workers have run, and none was heard of",
        START_WORKER,
        stuck.silent_workers,
    ),
    State("overdue session", MINUTES, "open past its lifetime", START_WORKER, stuck.overdue_sessions),
    State(
        "waiting finalize",
        MINUTES,
        "its lease ran out, nobody took it up",
        START_WORKER,
        stuck.waiting_finalizes,
    ),
    State(
        "failing finalize",
        HOUR,
        "was tried again and again",
        "the log of server and worker says what the storage answers; past its lifetime its file is FAILED",
        stuck.failing_finalizes,
    ),
    State("dead bytes", HOUR, "of an ended session, not removed yet", START_WORKER, stuck.dead_bytes),
    State("unnumbered event", MINUTE, "cannot be read or sent yet", START_WORKER, stuck.unnumbered_events),
    State("endpoint behind", MINUTES, "was not handed events", START_WORKER, stuck.behind_endpoints),
    State("overdue delivery", MINUTES, "should have been sent", START_WORKER, stuck.overdue_deliveries),
    State(
        "dead delivery",
        timedelta(0),
        "every attempt has failed",
        "mend the receiver, then manage.py replay_events",
        stuck.dead_deliveries,
    ),
    State(
        "disabled endpoint",
        HOUR,
        "has answered 410 or was switched off, and events wait for it",
        "enable it (its owner by POST /endpoints/{id}/enable, or in the admin), or delete it",
        stuck.disabled_endpoints,
    ),
    State("old idempotency key", timedelta(hours=49), "should have been dropped", START_WORKER, stuck.old_keys),
    State("old part claim", timedelta(hours=25), "should have been dropped", START_WORKER, stuck.old_part_claims),
    State("uncompleted batch", timedelta(0), "has all that it waits for", NOT_BY_US, stuck.uncompleted_batches),
    State(
        "file without a session",
        timedelta(0),
        "UPLOADING, and nothing carries it",
        f"delete it and upload it again; {NOT_BY_US}",
        stuck.files_without_session,
    ),
    State(
        "drift",
        timedelta(0),
        "a counter that differs from the rows",
        f"manage.py reconcile_batches --fix; {NOT_BY_US}",
        stuck.drift,
        slow=True,
    ),
    State(
        "file without bytes",
        timedelta(0),
        "STORED, and its bytes are missing or of another size",
        "restore them from a backup; manage.py verify_files reads all",
        stuck.files_without_bytes,
        slow=True,
    ),
    State(
        "bytes without a file",
        timedelta(days=2),
        "no row names them",
        f"{START_WORKER}: a sweep that would take too many is refused",
        stuck.bytes_without_file,
        slow=True,
    ),
)

"""One point of a sweep: an operation is killed at one call, or one call of it fails, and everything is judged."""

import re
from contextlib import suppress
from dataclasses import dataclass

from tests.crashes.line import Lost
from tests.crashes.strace import CHANGES, DATABASE, LOOKS, SYNCS, Call, Strace
from tests.server import ServerFailed

ALL_CALLS = f"{CHANGES} {SYNCS} {DATABASE} {LOOKS}"
#: What a failing or full disk makes fail; a socket is never full of bytes on disk, so it is told by its path.
FALLIBLE = "mkdir rename unlink write pwrite64 fallocate ftruncate fdatasync fsync".split()
#: What a command may end with while the disk or the database fails; a traceback of anything else is a bug.
EXCUSES = (["CommandError"], ["OperationalError"], ["InterfaceError"])


@dataclass(frozen=True)
class Point:
    """Where an operation is hit: `how` is "kill", or the name of the error that the call gives."""

    call: Call
    how: str
    #: Whether another process goes on first, that was there before the crash, or everything was dead.
    beside: bool = False

    @property
    def inject(self):
        """The expression for strace."""
        what = "signal=SIGKILL" if self.how == "kill" else f"error={self.how}"
        return f"{self.call.name}:{what}:when={self.call.ordinal}"

    def __str__(self):
        return f"{self.how} at {self.call.name} {self.call.ordinal}{', another beside' if self.beside else ''}"


def count_calls(make_scene, portal):
    """Let the operation run undisturbed; return its Calls and the faults that were found even so."""
    scene = make_scene(portal)
    strace = Strace(scene.victim.pid, calls=ALL_CALLS)
    _act(scene)
    calls = strace.detach()
    try:
        scene.finish()
        scene.judge.judge_end(scene.batch_id)
    except (Lost, ServerFailed) as error:
        scene.log.fault(f"ended with {error!r}")
    return calls, scene.log.faults


def kill_points(calls, *, looks):
    """Return a Point for each call, twice; without `looks` only for those before which something has changed."""
    hit = [call for call in calls if looks or call.name not in LOOKS.split()]
    # In turns, so that each second point has both.
    turns = ((False, True), (True, False))
    return [Point(call, "kill", beside) for place, call in enumerate(hit) for beside in turns[place % 2]]


def fault_points(calls, data_dir, error):
    """Return a Point for each call that `error` can come from."""
    if error == "ECONNRESET":
        # Only where an answer is read: libpq looks for one even when it could not send, as from a real broken line.
        return [Point(call, error) for call in calls if call.name == "recvfrom"]
    mine = [call for call in calls if call.name in FALLIBLE and call.path.startswith(str(data_dir))]
    return [Point(call, error) for call in mine]


def hit(make_scene, portal, point):
    """Play the operation with this one point; return the faults that were found."""
    scene = make_scene(portal)
    strace = Strace(scene.victim.pid, calls=ALL_CALLS, inject=point.inject)
    scene.line.expects_trouble = point.how != "kill"
    _act(scene)
    try:
        _after(scene, point, strace)
    except (Lost, ServerFailed) as error:
        scene.log.fault(f"ended with {error!r}")
    return scene.log.faults


def _after(scene, point, strace):
    """What the point left is recovered from, and judged."""
    if point.how == "kill":
        calls = strace.wait()
        scene.portal.end(scene.victim)
        if not calls or calls[-1].name != point.call.name:
            scene.log.fault(f"was killed at {calls[-1:]}")
        _recover(scene, point)
    else:
        calls = strace.detach()
        if not any(call.name == point.call.name and call.ordinal == point.call.ordinal for call in calls):
            scene.log.fault("the call that was to fail was never made")
        _go_on(scene, point)


def _act(scene):
    try:
        with suppress(Lost):
            scene.act()
    except ServerFailed as error:
        kinds = re.findall(r"^(?:\w+\.)*(\w+): ", str(error), re.MULTILINE)
        if not scene.line.expects_trouble or kinds[-1:] not in EXCUSES:
            scene.log.fault(f"ended with {error}")


def _recover(scene, point):
    """After a kill: whoever lives goes on; then everything is dead, and is started again."""
    portal = scene.portal
    if point.beside:
        portal.at = scene.beside
        scene.end_leases()
        scene.finish()
    portal.end_all()
    portal.bear()
    portal.end_leases()
    portal.manage("cleanup_uploads")
    scene.finish()
    scene.judge.judge_end(scene.batch_id)


def _go_on(scene, point):
    """After a failure: nothing false was said, and the same process goes on by itself."""
    # SQLite goes on when the sync of its own folder fails, and syncs it only when it makes its WAL.
    its_own = point.call.path == str(scene.portal.data_dir)
    if scene.acknowledged() and point.how != "ECONNRESET" and not its_own:
        scene.log.fault("was acknowledged all the same")
    scene.line.expects_trouble = False
    scene.upload.unsure = scene.upload.session_id is not None and not scene.upload.delete_sent
    scene.end_leases()
    scene.finish()
    scene.judge.judge_end(scene.batch_id)

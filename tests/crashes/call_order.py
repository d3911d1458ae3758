"""The order of system calls, which alone makes a power cut harmless: bytes, then names, then rows, then the answer.

    python -m tests.crashes.call_order --database postgresql

Follows a client's calls from the opening to the deletion and reads the log of strace as a power cut would: what is
not synced when a row that tells of it is committed may be lost, and the row may not. Exits with 1 on a finding.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path, PurePath

from tests.crashes.endings import Abort, CleanUp, Delete, Finalize, FinalizeByWorker, FinalizeFalse
from tests.crashes.scenes import Open, Part
from tests.crashes.small import SmallPortal
from tests.crashes.strace import CHANGES, DATABASE, SYNCS, NoTrace, Strace
from tests.databases import new_database

SCENES = (Open, Part, Finalize, FinalizeFalse, FinalizeByWorker, Abort, CleanUp, Delete)
#: A page of SQLite and a statement of ours are read whole.
TEXT = 4200


class Order:
    """Reads calls one by one and keeps what a power cut would take now; `findings` are the broken promises."""

    def __init__(self, storage):
        self.storage = PurePath(storage)
        self.findings, self.seen = [], Counter()
        #: Files with bytes that are not synced; files synced whole since; folders with names that are not synced.
        self.bytes, self.whole, self.names = set(), set(), defaultdict(set)
        #: Text of rows on their way, and of rows that are committed.
        self.coming, self.committed = "", ""
        self.committing = False

    def read(self, calls):
        """Take in the calls of one process, in order."""
        for call in calls:
            step = getattr(self, f"_{call.name}", None)
            if step and not call.failed:
                step(call)
        return self

    def _write(self, call):
        if call.path.startswith("socket:"):
            self.seen["answers"] += 1
            self._demand("an answer")
            if self.committing:
                self.findings.append("an answer goes out before its rows are committed")
        else:
            self._pwrite64(call)

    def _pwrite64(self, call):
        if call.path.endswith("-wal"):
            if not self.committing:
                self.seen["commits"] += 1
                self._demand("a commit")
            self.committing = True
            self.coming += call.arguments
        elif self._ours(call.path):
            self.bytes.add(call.path)
            self.whole.discard(call.path)

    def _fdatasync(self, call):
        if call.path.endswith("-wal"):
            self._commit()
        if call.path in self.bytes:
            self.seen["parts synced"] += 1
        self.bytes.discard(call.path)

    def _fsync(self, call):
        self._fdatasync(call)
        self.whole.add(call.path)
        self.seen["names synced"] += len(self.names.pop(call.path, ()))

    def _sendto(self, call):
        self.coming += call.arguments
        if "COMMIT\\0" in call.arguments:
            self.seen["commits"] += 1
            self._demand("a commit")
            self.committing = True

    def _recvfrom(self, _):
        if self.committing:
            self._commit()

    def _commit(self):
        self.committed += self.coming
        self.coming, self.committing = "", False

    def _openat(self, call):
        if "O_CREAT" in call.arguments:
            self._name(call.paths[0], "is made")

    def _mkdir(self, call):
        self._name(call.paths[0], "is made")

    def _unlink(self, call):
        self._name(call.paths[0], "is removed")

    def _rename(self, call):
        old, new = call.paths
        kind, key = PurePath(new).relative_to(self.storage).as_posix().split("/", 1)
        if kind == "objects":
            self.seen["renames"] += 1
            if old not in self.whole:
                self.findings.append("a file gets its name before its bytes are synced")
            if key not in self.committed:
                self.findings.append("a file is renamed before its destination is in a committed row")
        self._name(old, "is moved away")
        self._name(new, "is moved here")

    def _name(self, path, what):
        if self._ours(path):
            self.names[str(PurePath(path).parent)].add(what)

    def _ours(self, path):
        return PurePath(path).is_relative_to(self.storage)

    def _demand(self, event):
        """Nothing of ours may be lost any more."""
        self.findings += [f"{event} goes out before bytes are synced: {self._short(path)}" for path in self.bytes]
        for folder, changes in self.names.items():
            self.findings.append(f"{event} goes out before a folder is synced: {self._short(folder)}, {changes}")
        self.bytes.clear()
        self.names.clear()

    def _short(self, path):
        return PurePath(path).relative_to(self.storage).parts[0]


def check_order(portal):
    """Follow each operation on `portal`; return the findings and what was seen."""
    findings, seen = [], Counter()
    for scene_class in SCENES:
        scene = scene_class(portal, prepare=False)
        # All that comes before is followed as well.
        strace = Strace(scene.victim.pid, calls=f"{CHANGES} {SYNCS} {DATABASE}", text=TEXT)
        scene.prepare()
        scene.act()
        order = Order(portal.storage).read(strace.detach())
        findings += [f"{scene_class.__name__}: {fault}" for fault in scene.log.faults]
        findings += [f"{scene_class.__name__}: {finding}" for finding in order.findings]
        seen += order.seen
    return findings, seen


def main():
    """Read the arguments, check, print what was found; 1 when there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.call_order", description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(sqlite)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="portal-order-"))
    try:
        with new_database(options.database, folder) as url, SmallPortal(folder, database_url=url) as portal:
            findings, seen = check_order(portal)
    except (NoTrace, FileNotFoundError) as error:
        print(f"Skipped: {error}")
        return 2
    finally:
        shutil.rmtree(folder)
    for finding, times in Counter(findings).items():
        print(f"FINDING {finding} ({times} times)")
    print(f"{dict(sorted(seen.items()))} on {options.database}: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

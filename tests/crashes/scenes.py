"""What is interrupted: each operation with all that comes before it, and how the client goes on afterwards."""

from contextlib import suppress
from datetime import UTC, datetime

from tests.crashes.calls import Calls
from tests.crashes.judge import Judge
from tests.crashes.line import Lost
from tests.crashes.small import PipeLine
from tests.crashes.strace import DATABASE, SYNCS, Strace
from tests.crashes.uploads import CHUNK, ClientLog

SIZE = CHUNK + 1000
STEPS = 40
#: Where PostgreSQL's COMMIT takes its time: longer than a second writer needs to come this far.
SLOW_COMMIT_SECONDS = 0.25
MAKE_SLOW = f"""
CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep({SLOW_COMMIT_SECONDS}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER take_time AFTER INSERT ON portal_uploadpart
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_time();
"""
MAKE_QUICK = "DROP TRIGGER IF EXISTS take_time ON portal_uploadpart"


class Scene:
    """One client with one upload, on a portal that knows nothing else; `beside` lives through the crash."""

    lies = False

    def __init__(self, portal, *, prepare=True):
        portal.wipe()
        self.portal, self.log = portal, ClientLog()
        self.line = PipeLine(portal, self.log.fault)
        self.calls = Calls(portal.url, portal.token, self.log)
        self.calls.line = self.line
        self.judge = Judge(portal, self.line, self.log)
        self.beside, self.victim = portal.bear(), portal.bear()
        self.batch_id = self.line.ask("POST", "/batches", {"name": "calls"}).members["id"]
        self.upload = self.log.new(size=SIZE, chunk=CHUNK, batch_id=self.batch_id, firm=self.lies, lies=self.lies)
        if prepare:
            self.prepare()

    def prepare(self):
        """Do what comes before."""

    def act(self):
        """Do what is interrupted."""
        raise NotImplementedError

    def acknowledged(self):
        """Whether the client was told what cannot be, once a call has failed."""
        return False

    def end_leases(self):
        """Let every claim run out at once, whoever holds it."""
        self.portal.struck_at = datetime.now(UTC)
        self.portal.end_leases()

    def finish(self):
        """Go on as a client does until the upload has ended, and a file is STORED on its path."""
        self._finish(self.upload)
        if self.upload.ended not in (None, "STORED") and not self.upload.replaced:
            self.upload.replaced = True
            self.log.new(size=SIZE + 1, chunk=CHUNK, batch_id=self.batch_id, replaces=self.upload)
        for other in self.log.uploads[1:]:
            self._finish(other)

    def _finish(self, upload):
        for _ in range(STEPS):
            if upload.deleted or (upload.ended and not upload.unsure and not upload.delete_sent):
                return
            if self._step(upload):
                self.end_leases()
        self.log.fault(f"{upload.name} {upload.session_id}: came to no end")

    def _step(self, upload):
        calls = self.calls
        if upload.session_id is None:
            return calls.open(upload)
        if upload.delete_sent:
            return calls.delete(upload)
        if upload.left_alone:
            self.portal.manage("cleanup_uploads")
            return calls.look(upload)
        if upload.unsure:
            return calls.look(upload)
        if upload.abort_sent:
            return calls.abort(upload)
        if upload.missing:
            # The bytes of a part that nobody vouches for may be others the next time.
            number = upload.missing[0]
            return calls.put(upload, number, 1 if number in upload.tried and not upload.firm else 0)
        return calls.finalize(upload)


class Open(Scene):
    """A session is opened."""

    def act(self):
        self.calls.open(self.upload)

    def acknowledged(self):
        return self.upload.session_id is not None


class Part(Scene):
    """A part is written for the first time."""

    def prepare(self):
        self.calls.open(self.upload)

    def act(self):
        self.calls.put(self.upload, 1, 0)

    def acknowledged(self):
        return 1 in self.upload.acknowledged


class PartOver(Part):
    """A part is written over what a writer left who was killed in its COMMIT: late on PostgreSQL, a tail on SQLite."""

    def prepare(self):
        super().prepare()
        self.late = not self.portal.database_url.startswith("sqlite:")
        # On PostgreSQL its answer is waited for in `poll`; `recvfrom` is called only when the COMMIT has landed.
        name, number = self.fatal_call("poll" if self.late else "fdatasync")
        heir = self.portal.bear()
        if self.late:
            self.portal.execute(MAKE_SLOW)
        self.portal.at = self.victim
        strace = Strace(self.victim.pid, calls=f"{SYNCS} {DATABASE}", inject=f"{name}:signal=SIGKILL:when={number}")
        with suppress(Lost):
            self.calls.put(self.upload, 1, 0)
        strace.wait()
        self.portal.end(self.victim)
        self.victim = self.portal.at = heir

    def fatal_call(self, name):
        """Return the call at which the first writer dies: the last `name` of another part, which is its COMMIT's."""
        strace = Strace(self.victim.pid, calls=f"{SYNCS} {DATABASE}")
        self.calls.put(self.upload, 2, 0)
        return name, sum(call.name == name for call in strace.detach())

    def act(self):
        self.calls.put(self.upload, 1, 1)

    def finish(self):
        if self.late:
            self.portal.execute(MAKE_QUICK)
        super().finish()


class PartLeft(PartOver):
    """A part is written over what a writer left who was killed at its sync: nothing of it is on record."""

    def fatal_call(self, name):
        return "fdatasync", 1


class Finalize(Scene):
    """A session with all its parts is finalized."""

    def prepare(self):
        self.calls.open(self.upload)
        for number in (2, 1):
            self.calls.put(self.upload, number, 0)

    def act(self):
        self.calls.finalize(self.upload)

    def acknowledged(self):
        return self.upload.ended is not None

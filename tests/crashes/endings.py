"""More of what is interrupted: finalize by others, and the ways in which an upload comes to an end."""

from contextlib import suppress

from tests.crashes.line import Lost
from tests.crashes.mortal import LONG_AGO
from tests.crashes.scenes import Finalize, Open, Part, PartLeft, PartOver, Scene
from tests.crashes.strace import CHANGES, SYNCS, Strace


class FinalizeFalse(Finalize):
    """A file is finalized that has not the SHA-256 that was declared."""

    lies = True

    def acknowledged(self):
        return False


class FinalizeByWorker(Finalize):
    """A round of the worker finds a session to finalize."""

    def prepare(self):
        super().prepare()
        self.upload.finalize_sent = self.upload.unsure = True
        self.victim.call("leave", self.upload.session_id)

    def act(self):
        self.portal.at.call("work")

    def acknowledged(self):
        return False


class FinalizeMoved(Finalize):
    """A file is finalized whose first finalizer was killed after the rename."""

    def prepare(self):
        super().prepare()
        strace = Strace(self.victim.pid, calls=f"{CHANGES} {SYNCS}", inject="rename:signal=SIGKILL:when=1")
        heir = self.portal.bear()
        self.portal.at = self.victim
        with suppress(Lost):
            self.calls.finalize(self.upload)
        strace.wait()
        self.portal.end(self.victim)
        ((key,),) = self.portal.rows("SELECT object_key FROM portal_uploadsession")
        staged = next(self.portal.storage.glob("staging/*/*"))
        staged.rename(self.portal.storage / "objects" / key)
        self.victim = self.portal.at = heir
        self.end_leases()


class Abort(Scene):
    """An open session is given up."""

    def prepare(self):
        self.calls.open(self.upload)
        self.calls.put(self.upload, 1, 0)

    def act(self):
        self.calls.abort(self.upload)


class CleanUp(Abort):
    """A session is cleaned up that was left alone for too long."""

    def prepare(self):
        super().prepare()
        self.upload.left_alone = self.upload.unsure = True
        text = LONG_AGO.strftime("%Y-%m-%d %H:%M:%S")
        self.portal.execute("UPDATE portal_uploadsession SET expires_at = ?", text)

    def act(self):
        self.portal.at.call("manage", "cleanup_uploads")


class Delete(Finalize):
    """A STORED file is deleted."""

    def prepare(self):
        super().prepare()
        self.calls.finalize(self.upload)

    def act(self):
        self.calls.delete(self.upload)

    def acknowledged(self):
        return False

    def finish(self):
        # What comes after a deletion is another file.
        if len(self.log.uploads) == 1:
            self.log.new(size=1000, chunk=self.upload.chunk, batch_id=self.batch_id)
        super().finish()


OPERATIONS = {
    "open": Open,
    "part": Part,
    "part-over": PartOver,
    "part-left": PartLeft,
    "finalize": Finalize,
    "finalize-false": FinalizeFalse,
    "finalize-worker": FinalizeByWorker,
    "finalize-moved": FinalizeMoved,
    "abort": Abort,
    "cleanup": CleanUp,
    "delete": Delete,
}

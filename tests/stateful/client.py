"""A client that holds each answer, and all that is to be seen after it, against the model; whatever came in between."""

import copy
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import OperationalError, connection
from django.db.models.functions import Now
from hypothesis.stateful import RuleBasedStateMachine

from portal.exceptions import PortalError
from portal.models import IdempotencyKey, UploadSession
from portal.services.worker import clean_up
from portal.storage.base import StorageUnavailable
from portal.storage.memory import MemoryStorage
from tests.crashes.small import TABLES
from tests.services.situations import A_DAY
from tests.stateful.doors import Doors
from tests.stateful.fates import Fate, Killed, release_locks
from tests.stateful.model import Model, digest_of
from tests.stateful.outcomes import Luck, outcomes
from tests.stateful.session_calls import work
from tests.stateful.sight import adopt, check_bytes, check_drift, check_leftovers, check_usage, differences, look

#: Answers that are right only where something was made to fail.
FAILED = (None, 503, 507)


@dataclass
class World:
    """The portal that is called, in this process; `seen` counts what happened to it."""

    doors: Doors
    storage: MemoryStorage
    fate: Fate
    seen: Counter = field(default_factory=Counter)

    def wipe(self):
        """Forget everything but who may ask."""
        self.fate.forget()
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM portal_{table}")
        for files in self.storage.files.values():
            files.clear()

    def recover(self):
        """Whoever died is replaced, every lease runs out, and the worker does its round."""
        if self.fate.dead:
            release_locks(self.storage)
            connection.close()
        self.fate.forget()
        long_ago = {"lease_until": Now() - timedelta(seconds=1)}
        UploadSession.objects.filter(status="FINALIZING").update(**long_ago)
        IdempotencyKey.objects.filter(status="CLAIMED").update(**long_ago)
        clean_up(storage=self.storage)


class Client(RuleBasedStateMachine):
    """One owner, on a portal that knows nothing else."""

    def __init__(self, world):
        super().__init__()
        self.world, self.model = world, Model()
        #: What is to go wrong with the next call, if anything.
        self.coming = None
        #: The first receipt of each batch that has one.
        self.receipts = {}
        world.wipe()

    def call(self, what, *request, **options):
        """Send a request; `what(model, luck)` is what it makes of the model."""
        self.meet_fate()
        answer = self.world.doors.ask(*request, **options)
        told = f"{request[:2]}: {answer.outcome} {answer.items or ''}"
        self.world.seen[what.func.__name__, answer.outcome] += 1
        assert answer.status in FAILED or answer.status < 500, f"{told}: {answer.body[:500]!r}"
        self.settle(what, answer, told)
        return answer

    def meet_fate(self):
        """Let what was chosen come to what is called now."""
        if self.coming:
            self.world.fate.arm(*self.coming)
            self.coming = None

    def settle(self, what, answer, told):
        """Find the outcome that is there now among those that are right, and go on from it."""
        fate = self.world.fate
        met, fate.coming = fate.met, None
        failed = answer is None or answer.status in FAILED
        assert met or answer is None or not failed, f"{told}, and nothing was made to fail"
        if met:
            self.world.seen["met", met.partition(" at ")[0]] += 1
            self.world.recover()
        view, ids = look(self.world.doors)
        faults = []
        for model, right in outcomes(self.model, what, copy.deepcopy, faulty=bool(met)):
            if met:
                work(model, Luck())
            fits = failed or right.fits(answer.outcome, answer.items)
            if fits and model.view() == view:
                break
            faults.append(f"if {differences(view, model.view()) or 'so'}: {'' if fits else f'{right} was due'}")
        else:
            raise AssertionError(f"{told}, {met or 'nothing was made to fail'}\n" + "\n".join(faults[:8]))
        self.model = model
        adopt(model, ids)
        check_bytes(model, self.world.storage)
        check_usage(model)

    def work(self, _which=0):
        """Let the worker do its round, which may be what something comes to; it goes on where it was stopped."""
        self.meet_fate()
        with suppress(Killed, PortalError, OperationalError, StorageUnavailable):
            clean_up(storage=self.world.storage)
        self.settle(work, None, "the worker's round")

    def pass_a_day(self, _which=0):
        """Let a day go by for the bytes: after a clean-up only those are left that somebody may want."""
        self.coming = None
        self.world.storage.clock.ahead += A_DAY + 1
        self.world.recover()
        self.world.storage.clock.ahead += A_DAY + 1
        self.work()
        check_leftovers(self.model, self.world.storage)
        check_drift()

    def read_receipt(self, batch):
        """Ask for a batch's receipt, both forms: of a completed one it is the same for ever."""
        counted = self.model.count(batch)
        answers = [
            self.world.doors.ask("GET", f"/batches/{batch.id}/receipt", None, f"Accept: {kind}")
            for kind in ("text/plain", "application/json")
        ]
        if not batch.completed or counted["pending_count"]:
            assert {answer.outcome for answer in answers} == {(409, "batch_not_complete")}
            return
        assert {answer.status for answer in answers} == {200}
        text, members = answers[0].body.decode(), answers[1].members
        assert (text, members) == self.receipts.setdefault(batch.name, (text, members))
        assert text == self.model.manifest(batch)
        assert members["manifest_sha256"] == digest_of(text.encode())
        counted.pop("pending_count")
        assert {name: members[name] for name in counted} == counted

    def read_files(self):
        """Read each STORED file through the door, and ask for each file and session by its id."""
        doors = self.world.doors
        for file in self.model.files:
            answer = doors.ask("GET", f"/files/{file.id}/content")
            if file.data is None:
                assert answer.outcome == (409, "file_not_stored")
            else:
                assert (answer.status, answer.body) == (200, file.data), f"{file.key} has other bytes"
            assert doors.get(f"/files/{file.id}")["status"] == file.status
        for session in self.model.sessions:
            answer = doors.ask("GET", f"/uploads/sessions/{session.id}")
            assert answer.status == 404 if session.gone else answer.members["status"] == session.status

    def teardown(self):
        """Look at everything once more."""
        self.read_files()
        self.pass_a_day()
        for batch in self.model.batches:
            self.read_receipt(batch)

"""A client that holds each answer, and all that is to be seen after it, against the model; whatever came in between."""

import copy
from contextlib import suppress
from functools import partial

from django.db import OperationalError
from hypothesis.stateful import RuleBasedStateMachine

from portal.exceptions import PortalError
from portal.services.worker import clean_up
from portal.storage.base import StorageUnavailable
from tests.services.situations import A_DAY
from tests.stateful.fates import Killed
from tests.stateful.model import digest_of
from tests.stateful.outcomes import Luck, Told, outcomes
from tests.stateful.session_calls import work
from tests.stateful.sight import adopt, check_bytes, check_drift, check_leftovers, check_usage, differences, look
from tests.stateful.world import OWNERS, TOKENS, Owner, needed_scopes

#: Answers that are right only where something was made to fail.
FAILED = (None, 503, 507)


def insufficient_scope(_model, _luck, harm=None):
    """Whatever it is: the token may not do it; or that is said which is wrong with the body itself."""
    return Told(frozenset({(403, "insufficient_scope"), *({(400, harm)} if harm else ())}))


class Client(RuleBasedStateMachine):
    """Two owners, on a portal that knows nothing else; one of them, by one of its tokens, is who asks now."""

    def __init__(self, world):
        super().__init__()
        self.world, self.owners = world, {name: Owner(name) for name in OWNERS}
        self.owner, self.token = self.owners["ann"], "all"
        #: What is to go wrong with the next call, if anything.
        self.coming = None
        #: A step did not come to its end: what is seen after that is not what went wrong.
        self.unsettled = False
        world.wipe()

    @property
    def model(self):
        """What must be there of whoever asks."""
        return self.owner.model

    @property
    def doors(self):
        """The doors for whoever asks, and may do all."""
        return self.world.doors[self.owner.name, "all"]

    @property
    def models(self):
        """What must be there of anybody."""
        return [owner.model for owner in self.owners.values()]

    @property
    def others(self):
        """Whoever does not ask now."""
        return [owner for owner in self.owners.values() if owner is not self.owner]

    def turn_to(self, name):
        """Let this owner ask: what it has is as it left it, whatever others did."""
        if self.owner.name != name:
            self.owner = self.owners[name]
            difference = differences(look(self.doors)[0], self.model.view())
            assert not difference, f"while others asked:\n{difference}"

    def refused_to_read(self, path):
        """Whether the token that is in use may not read; it has been told so then."""
        if self.may("GET", path):
            return False
        assert self.world.doors[self.owner.name, self.token].ask("GET", path).outcome == (403, "insufficient_scope")
        return True

    def may(self, method, path):
        """Whether the token that is in use may do this."""
        return needed_scopes(method, path) <= TOKENS[self.token]

    def call(self, what, *request, **options):
        """Send a request; `what(model, luck)` is what it makes of the model."""
        self.meet_fate()
        doors = self.world.doors[self.owner.name, self.token]
        answer = doors.ask(*request, **options)
        told = f"{doors.name} {request[:2]}: {answer.outcome} {answer.items or ''}"
        if not self.may(*request[:2]):
            what = partial(insufficient_scope, harm=what.keywords.get("harm"))
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
        if met or what is work:
            for owner in self.others:
                work(owner.model, Luck())
        view, ids = look(self.doors)
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
        self.owner.model = model
        adopt(model, ids)
        check_bytes(self.models, self.world.storage)
        check_usage(model, self.owner.name)

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
        check_leftovers(self.models, self.world.storage)
        check_drift()

    def read_receipt(self, batch):
        """Ask for a batch's receipt, both forms: of a completed one it is the same for ever."""
        counted = self.model.count(batch)
        answers = [
            self.doors.ask("GET", f"/batches/{batch.id}/receipt", None, f"Accept: {kind}")
            for kind in ("text/plain", "application/json")
        ]
        if not batch.completed or counted["pending_count"]:
            assert {answer.outcome for answer in answers} == {(409, "batch_not_complete")}
            return
        assert {answer.status for answer in answers} == {200}
        text, members = answers[0].body.decode(), answers[1].members
        assert (text, members) == self.owner.receipts.setdefault(batch.name, (text, members))
        assert text == self.model.manifest(batch)
        assert members["manifest_sha256"] == digest_of(text.encode())
        counted.pop("pending_count")
        assert {name: members[name] for name in counted} == counted

    def read_files(self):
        """Read each STORED file through the door, and ask for each file and session by its id."""
        doors = self.doors
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
        if self.unsettled:
            self.world.fate.forget()
            return
        for name in self.owners:
            self.turn_to(name)
            self.read_files()
            self.pass_a_day()
            for batch in self.model.batches:
                self.read_receipt(batch)

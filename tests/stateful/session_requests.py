"""The requests of sessions, each with what it makes of the model."""

from functools import partial, wraps

from portal.models import UploadSession
from tests.services.situations import let_lifetime_end
from tests.stateful import session_calls
from tests.stateful.caller import Caller
from tests.stateful.contents import CONTENTS, OTHER_BYTES, digest_for, harmed
from tests.stateful.model import CHUNK, digest_of


def needs_session(method):
    """Let a method do nothing while there is no session."""
    return wraps(method)(lambda self, *args, **options: self.model.sessions and method(self, *args, **options))


class SessionRequests(Caller):
    """Open sessions, send their parts, end them."""

    def open_session(self, which, path, content, how):
        """POST /uploads/sessions for a file of a batch."""
        if self.model.batches:
            data = CONTENTS[content]
            self._open_as(self.new_name(), self.batch_at(which), path, data, digest_for(data, how))

    def open_loose_session(self, which, content, how):
        """POST /uploads/sessions for a file without a batch."""
        self._open_as(self.new_name(), None, None, CONTENTS[content], digest_for(CONTENTS[content], how))

    def _the_same_session(self, which):
        """Those that a declaration opened have no key."""
        names = [session.name for session in self.model.sessions if session.name in self.owner.said]
        if names:
            name = names[which % len(names)]
            self._open_as(name, *self.owner.said[name])

    def _open_as(self, name, batch, path, data, sha256):
        self.owner.said[name] = batch, path, data, sha256
        body = {"original_filename": name, "total_size_bytes": len(data), "sha256": sha256 or None, "path": path}
        body["batch_id"] = None if batch is None else self.model.batches[batch].id
        what = partial(session_calls.open_session, batch=batch, path=path, name=name, size=len(data), sha256=sha256)
        self.call(what, "POST", "/uploads/sessions", body, f"Idempotency-Key: {name}")

    @needs_session
    def put_part(self, which, number, other=None, harm=None):
        """PUT a part, of what the client means or of some `other` content."""
        self._put_part(self.session_at(which), number, other, harm)

    @needs_session
    def put_what_is_missing(self, which):
        """PUT each part that is missing, the last one first."""
        place = self.session_at(which)
        for number in range(self.model.sessions[place].total_parts, 0, -1):
            # Each call may have come out as another model.
            if number not in self.model.sessions[place].parts:
                self._put_part(place, number)

    def _put_part(self, place, number, other=None, harm=None):
        part = self.part_of(place, number, other)
        part = bytes(len(part)) if other == OTHER_BYTES else part
        harm = harm if part else None
        lines, options = harmed(harm)
        what = partial(session_calls.put_part, session=place, number=number, data=part, harm=harm)
        self.call(what, "PUT", f"{self.session_url(place)}/parts/{number}", part, *lines, **options)

    def part_of(self, place, number, other=None):
        """Return a part of what the client means, or of some `other` content."""
        data = CONTENTS[other] if other in CONTENTS else self._meant_by(self.model.sessions[place])
        return data[max(number - 1, 0) * CHUNK :][:CHUNK]

    def _meant_by(self, session):
        """Return the bytes that the client means: of a declared file those of its digest, or any of its size."""
        if session.name in self.owner.said:
            return self.owner.said[session.name][2]
        fitting = [data for data in CONTENTS.values() if len(data) == session.size]
        return next((data for data in fitting if digest_of(data) == session.declared), fitting[0])

    @needs_session
    def finalize(self, which):
        """POST finalize."""
        self._finalize(self.session_at(which))

    def _finalize(self, place):
        self.call(partial(session_calls.finalize, session=place), "POST", f"{self.session_url(place)}/finalize")

    def finalize_many(self, which, places):
        """POST finalize of several, of this batch or not, some of them twice."""
        if self.model.sessions:
            batch, places = self.batch_at(which), [self.session_at(place) for place in places]
            body = {"session_ids": [self.model.sessions[place].id for place in places]}
            what = partial(session_calls.finalize_many, batch=batch, sessions=places)
            self.call(what, "POST", f"{self.batch_url(batch)}/finalize", body)

    @needs_session
    def abort(self, which):
        """DELETE a session."""
        place = self.session_at(which)
        self.call(partial(session_calls.abort, session=place), "DELETE", self.session_url(place))

    @needs_session
    def leave_alone(self, which):
        """Let a session's lifetime end; the worker is to see it."""
        session = self.model.sessions[self.session_at(which)]
        if session.open and not session.gone:
            let_lifetime_end(UploadSession.objects.get(pk=session.id))
            session.overdue = True

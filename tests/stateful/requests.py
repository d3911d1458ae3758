"""The requests of the walk, each with what it makes of the model; `which` means one of what is there."""

import io
import tarfile
from functools import partial, wraps

from portal.models import UploadSession
from tests.samples import pattern
from tests.services.situations import let_lifetime_end
from tests.stateful import batch_calls, file_calls, session_calls
from tests.stateful.client import Client
from tests.stateful.model import CHUNK, TO_JOIN, TO_REOPEN, digest_of

#: By names that a report can show; two of one size, some of several parts.
CONTENTS = {
    "nothing": b"",
    "one": b"one",
    "two": b"two",
    "long": pattern(CHUNK + 10, 1),
    "as long": pattern(CHUNK + 10, 2),
    "two chunks": pattern(2 * CHUNK, 3),
}
#: Of the right size, and not what anybody means.
OTHER_BYTES = "other bytes"
MANY_BATCHES = 2
NO_DIGEST = "Content-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


def digest_for(data, how):
    """Return the digest that is told of `data`: none, its own, or that of nothing else here."""
    return {None: "", "right": digest_of(data), "wrong": "0" * 64}[how]


def harmed(harm):
    """Return the headers and options that spoil a body."""
    return ([NO_DIGEST] if harm == "digest_mismatch" else []), {"cut": harm == "incomplete_body"}


def needs_session(method):
    """Let a method do nothing while there is no session."""
    return wraps(method)(lambda self, *args, **options: self.model.sessions and method(self, *args, **options))


def _choose(which, likely, count):
    """Return one of `likely` in three of four cases, else one of `count`."""
    return likely[which % len(likely)] if likely and which % 4 else which // 4 % count


class Caller(Client):
    """All requests."""

    def __init__(self, world):
        super().__init__(world)
        self.named = 0
        #: What was said when something was made, to say it again; by name, and of loose files by key.
        self.said, self.posted = {}, set()

    def new_name(self):
        """Return a name that nothing has."""
        self.named += 1
        return f"{self.named}.bin"

    def batch_at(self, which):
        """Return the place of a batch; mostly of one that is open."""
        batches = self.model.batches
        return _choose(which, [place for place, one in enumerate(batches) if not one.closed(TO_REOPEN)], len(batches))

    def batch_url(self, place):
        """Return the URL of the batch at a place."""
        return f"/batches/{self.model.batches[place].id}"

    def session_at(self, which):
        """Return the place of a session; mostly of one that is open."""
        sessions = self.model.sessions
        return _choose(which, [place for place, one in enumerate(sessions) if one.open and not one.gone], len(sessions))

    def session_url(self, place):
        """Return the URL of the session at a place."""
        return f"/uploads/sessions/{self.model.sessions[place].id}"

    def make_batch(self, _which, expected):
        """POST /batches, while there are few."""
        if sum(not batch.closed(TO_JOIN) for batch in self.model.batches) < MANY_BATCHES:
            self._make_as(self.new_name(), expected)

    def _make_as(self, name, expected):
        self.said[name] = expected
        body = {"name": name, "expected_files": expected}
        what = partial(batch_calls.create_batch, name=name, expected=expected)
        self.call(what, "POST", "/batches", body, f"Idempotency-Key: {name}")

    def the_same_again(self, which, what):
        """Send again what made a batch, a session or a file, with the same key."""
        getattr(self, f"_the_same_{what}")(which)

    def _the_same_batch(self, which):
        """As it was said the first time, though a seal may have changed it since."""
        if self.model.batches:
            name = self.model.batches[self.batch_at(which)].name
            self._make_as(name, self.said[name])

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
        names = [session.name for session in self.model.sessions if session.name in self.said]
        if names:
            name = names[which % len(names)]
            self._open_as(name, *self.said[name])

    def _open_as(self, name, batch, path, data, sha256):
        self.said[name] = batch, path, data, sha256
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
        session = self.model.sessions[place]
        data = CONTENTS[other] if other in CONTENTS else self._meant_by(session)
        part = data[max(number - 1, 0) * CHUNK :][:CHUNK]
        part = bytes(len(part)) if other == OTHER_BYTES else part
        harm = harm if part else None
        lines, options = harmed(harm)
        what = partial(session_calls.put_part, session=place, number=number, data=part, harm=harm)
        self.call(what, "PUT", f"{self.session_url(place)}/parts/{number}", part, *lines, **options)

    def _meant_by(self, session):
        """Return the bytes that the client means: of a declared file those of its digest, or any of its size."""
        if session.name in self.said:
            return self.said[session.name][2]
        fitting = [data for data in CONTENTS.values() if len(data) == session.size]
        return next((data for data in fitting if digest_of(data) == session.declared), fitting[0])

    @needs_session
    def finalize(self, which):
        """POST finalize."""
        place = self.session_at(which)
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

    def put_file(self, which, path, content, harm):
        """PUT a whole file."""
        if self.model.batches:
            batch, data = self.batch_at(which), CONTENTS[content]
            harm = harm if data else None
            lines, options = harmed(harm)
            what = partial(file_calls.put_file, batch=batch, path=path, data=data, harm=harm)
            self.call(what, "PUT", f"{self.batch_url(batch)}/files/{path}", data, *lines, **options)

    def post_file(self, which, content):
        """POST a whole file without a batch."""
        self._post_as(self.new_name(), CONTENTS[content])

    def _the_same_file(self, which):
        """Those that came by a session have no key here."""
        posted = [file for file in self.model.files if file.key in self.posted]
        if posted:
            file = posted[which % len(posted)]
            self._post_as(file.name, file.data)

    def _post_as(self, name, data):
        self.posted.add((None, name))
        lines = [f"Idempotency-Key: {name}", f'Content-Disposition: attachment; filename="{name}"']
        self.call(partial(file_calls.post_file, name=name, data=data), "POST", "/files", data, *lines)

    def post_tar(self, which, members):
        """POST several whole files, some paths twice."""
        if self.model.batches:
            batch, packed = self.batch_at(which), io.BytesIO()
            members = [(path, CONTENTS[content]) for path, content in members]
            with tarfile.open(fileobj=packed, mode="w") as tar:
                for path, data in members:
                    info = tarfile.TarInfo(path)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
            what = partial(file_calls.post_tar, batch=batch, members=members)
            lines = ["Content-Type: application/x-tar"]
            self.call(what, "POST", f"{self.batch_url(batch)}/files", packed.getvalue(), *lines)

    def declare(self, which, entries, open_sessions):
        """POST files as JSON."""
        if self.model.batches:
            batch = self.batch_at(which)
            told = {path: (CONTENTS[content], how) for path, content, how in entries}
            entries = [(path, len(data), digest_for(data, how)) for path, (data, how) in told.items()]
            files = [{"path": path, "total_size_bytes": size, "sha256": sha or None} for path, size, sha in entries]
            what = partial(file_calls.declare, batch=batch, entries=entries, open_sessions=open_sessions)
            body = {"files": files, "open_sessions": open_sessions}
            self.call(what, "POST", f"{self.batch_url(batch)}/files", body)

    def seal(self, which, files, manifest):
        """POST seal, with what is there, something else, or nothing said."""
        if self.model.batches:
            place = self.batch_at(which)
            batch = self.model.batches[place]
            there = self.model.count(batch)["total_files"]
            expected = {None: None, "right": there, "wrong": there + 1}[files]
            sha256 = digest_for(self.model.manifest(batch).encode(), manifest) or None
            what = partial(batch_calls.seal, batch=place, expected=expected, manifest=sha256)
            body = {"expected_files": expected, "manifest_sha256": sha256}
            self.call(what, "POST", f"{self.batch_url(place)}/seal", body)

    def cancel(self, which, delete):
        """DELETE a batch."""
        if self.model.batches:
            batch = self.batch_at(which)
            url = self.batch_url(batch) + ("?files=delete" if delete else "")
            self.call(partial(batch_calls.cancel, batch=batch, delete=delete), "DELETE", url)

    def delete_file(self, which):
        """DELETE a file."""
        if self.model.files:
            place = which % len(self.model.files)
            self.call(partial(batch_calls.delete_file, file=place), "DELETE", f"/files/{self.model.files[place].id}")

    def receipt(self, which):
        """GET the receipt of a batch."""
        if self.model.batches:
            self.read_receipt(self.model.batches[self.batch_at(which)])

    def list_by_status(self, which, status):
        """GET the files of a batch that have a status, and the batch."""
        if self.model.batches:
            batch = self.model.batches[self.batch_at(which)]
            listed = self.world.doors.get(f"/batches/{batch.id}/files?status={status}&limit=1000")["results"]
            there = {file.id for file in self.model.files_of(batch) if file.status == status}
            assert {file["id"] for file in listed} == there
            assert self.world.doors.get(f"/batches/{batch.id}")["status"] == self.model.status_of(batch)

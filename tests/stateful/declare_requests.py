"""The requests that declare files, each with what it makes of the model."""

import json
from functools import partial

from tests.stateful import declare_calls
from tests.stateful.caller import Caller
from tests.stateful.contents import CONTENTS, digest_for
from tests.stateful.streams import CUT
from tests.stateful.world import TOKENS


def _entry(path, content, how):
    data = CONTENTS[content]
    return path, len(data), digest_for(data, how)


def _members(path, size, sha256):
    return {"path": path, "total_size_bytes": size, "sha256": sha256 or None}


class DeclareRequests(Caller):
    """Declare files, as JSON or line by line."""

    def declare(self, which, entries, open_sessions):
        """POST files as JSON, some paths twice."""
        if self.model.batches:
            batch, entries = self.batch_at(which), [_entry(*entry) for entry in entries]
            told = {"batch": batch, "entries": entries, "reads": "read" in TOKENS[self.token]}
            what = partial(declare_calls.declare, open_sessions=open_sessions, **told)
            body = {"files": [_members(*entry) for entry in entries], "open_sessions": open_sessions}
            answer = self.call(what, "POST", f"{self.batch_url(batch)}/files", body)
            self._check_declared(answer, batch, [path for path, *_ in entries], open_sessions)

    def put_manifest(self, which, entries, cut):
        """PUT a manifest, with lines that cannot be read, some paths twice; it may break off in a line."""
        if self.model.batches:
            batch, entries = self.batch_at(which), [entry and _entry(*entry) for entry in entries]
            lines = [json.dumps(_members(*entry)) if entry else "{" for entry in entries]
            body = "\n".join([*lines, '{"path": "half"'] if cut else lines)
            told = {"batch": batch, "entries": entries, "reads": "read" in TOKENS[self.token]}
            what = partial(declare_calls.put_manifest, end=CUT if cut else None, **told)
            answer = self.call(what, "PUT", f"{self.batch_url(batch)}/manifest", body.encode(), short=9 if cut else 0)
            paths = [entry and entry[0] for entry in entries]
            self._check_declared(answer, batch, paths + ([None] if cut else []), False)

    def _check_declared(self, answer, batch, paths, open_sessions):
        """Each result names its path, the file on it, and the session that is open for it."""
        if answer.status != 200:
            return
        assert [one["path"] for one in answer.members["results"]] == paths
        for one in answer.members["results"]:
            if one["action"] == "rejected":
                assert one["file_id"] is None
                continue
            file = self.model.file_on(self.model.batches[batch], one["path"])
            assert one["file_id"] == file.id
            named = one["action"] == "resume" or (one["action"] == "upload" and open_sessions)
            assert ("session_id" in one) == named
            if named and file.status == "UPLOADING":
                session = self.model.session_of(file)
                assert (one["session_id"], one["total_parts"]) == (session.id, session.total_parts)

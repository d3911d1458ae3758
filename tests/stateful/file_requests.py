"""The requests that bring or delete files, each with what it makes of the model."""

from functools import partial

from tests.stateful import batch_calls, file_calls
from tests.stateful.caller import Caller
from tests.stateful.contents import CONTENTS, harmed
from tests.stateful.streams import CUT, HALF, KINDS


class FileRequests(Caller):
    """Bring whole files, alone or many in one request; delete them."""

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
        posted = [file for file in self.model.files if file.key in self.owner.posted]
        if posted:
            file = posted[which % len(posted)]
            self._post_as(file.name, file.data)

    def _post_as(self, name, data):
        self.owner.posted.add((None, name))
        lines = [f"Idempotency-Key: {name}", f'Content-Disposition: attachment; filename="{name}"']
        self.call(partial(file_calls.post_file, name=name, data=data), "POST", "/files", data, *lines)

    def post_many(self, which, kind, members, end, half):
        """POST several whole files, some paths twice, some members odd; the stream may break off."""
        if self.model.batches:
            batch, (pack, refused) = self.batch_at(which), KINDS[kind]
            odd = {"bad name": "bad name", "skipped": "skipped", "refused": refused}
            members = [
                (f"../{path}" if what == "bad name" else path, CONTENTS[content], odd.get(what))
                for path, content, what in members
            ]
            body = pack(members, whole=end is None, half=half and end is not None)
            codes = {None: None, "not_a_file": "not_a_file"}
            sent = [(path, data, codes.get(what, "invalid")) for path, data, what in members if what != "skipped"]
            what = partial(file_calls.post_many, batch=batch, members=sent, end=end)
            url, lines = f"{self.batch_url(batch)}/files", [f"Content-Type: {kind}"]
            answer = self.call(what, "POST", url, body, *lines, short=9 if end == CUT else 0)
            half_paths = ([HALF if half else None]) if end else []
            self.check_results(answer, batch, [path for path, *_ in sent] + half_paths)

    def check_results(self, answer, batch, paths):
        """Each result names its path, and each STORED one the file there, as it is."""
        if answer.status != 200:
            return
        assert [one["path"] for one in answer.members["results"]] == paths
        for one in answer.members["results"]:
            if one["status"] == "STORED":
                file = self.model.file_on(self.model.batches[batch], one["path"])
                assert (one["file_id"], one["sha256"], one["size_bytes"]) == (file.id, file.sha256, file.size)
            else:
                assert [one[name] for name in ("file_id", "sha256", "size_bytes")] == [None] * 3

    def delete_file(self, which):
        """DELETE a file."""
        if self.model.files:
            place = which % len(self.model.files)
            self.call(partial(batch_calls.delete_file, file=place), "DELETE", f"/files/{self.model.files[place].id}")

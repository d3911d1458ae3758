"""The requests that bring, declare or delete files, each with what it makes of the model."""

import io
import tarfile
from functools import partial

from tests.stateful import batch_calls, file_calls
from tests.stateful.caller import Caller
from tests.stateful.contents import CONTENTS, digest_for, harmed


class FileRequests(Caller):
    """Bring whole files, alone or many in one request; declare and delete them."""

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

    def delete_file(self, which):
        """DELETE a file."""
        if self.model.files:
            place = which % len(self.model.files)
            self.call(partial(batch_calls.delete_file, file=place), "DELETE", f"/files/{self.model.files[place].id}")

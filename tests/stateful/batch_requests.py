"""The requests of batches, each with what it makes of the model."""

from functools import partial

from tests.stateful import batch_calls
from tests.stateful.caller import Caller
from tests.stateful.contents import digest_for
from tests.stateful.model import TO_JOIN

MANY_BATCHES = 2


class BatchRequests(Caller):
    """Make, seal, cancel and read batches."""

    def make_batch(self, _which, expected):
        """POST /batches, while there are few."""
        if sum(not batch.closed(TO_JOIN) for batch in self.model.batches) < MANY_BATCHES:
            self._make_as(self.new_name(), expected)

    def _make_as(self, name, expected):
        self.owner.said[name] = expected
        body = {"name": name, "expected_files": expected}
        what = partial(batch_calls.create_batch, name=name, expected=expected)
        self.call(what, "POST", "/batches", body, f"Idempotency-Key: {name}")

    def _the_same_batch(self, which):
        """As it was said the first time, though a seal may have changed it since."""
        if self.model.batches:
            name = self.model.batches[self.batch_at(which)].name
            self._make_as(name, self.owner.said[name])

    def seal(self, which, files, manifest):
        """POST seal, with what is there, something else, or nothing said."""
        if self.model.batches:
            place = self.batch_at(which)
            batch = self.model.batches[place]
            there = self.model.count(batch)["total_files"]
            expected = {None: None, "right": there, "wrong": there + 1}[files]
            sha256 = digest_for(self.model.manifest(batch, promised=True).encode(), manifest) or None
            what = partial(batch_calls.seal, batch=place, expected=expected, manifest=sha256)
            body = {"expected_files": expected, "manifest_sha256": sha256}
            self.call(what, "POST", f"{self.batch_url(place)}/seal", body)

    def cancel(self, which, delete):
        """DELETE a batch."""
        if self.model.batches:
            batch = self.batch_at(which)
            url = self.batch_url(batch) + ("?files=delete" if delete else "")
            self.call(partial(batch_calls.cancel, batch=batch, delete=delete), "DELETE", url)

    def receipt(self, which):
        """GET the receipt of a batch."""
        if self.model.batches:
            batch = self.batch_at(which)
            if not self.refused_to_read(f"{self.batch_url(batch)}/receipt"):
                self.read_receipt(self.model.batches[batch])

    def list_by_status(self, which, status):
        """GET the files of a batch that have a status, and the batch."""
        if self.model.batches:
            batch = self.model.batches[self.batch_at(which)]
            path = f"/batches/{batch.id}/files?status={status}&limit=1000"
            if self.refused_to_read(path):
                return
            listed = self.doors.get(path)["results"]
            there = {file.id for file in self.model.files_of(batch) if file.status == status}
            assert {file["id"] for file in listed} == there
            assert self.doors.get(f"/batches/{batch.id}")["status"] == self.model.status_of(batch)

"""The requests about parts that go past the portal, to a store that takes them."""

from functools import partial

from tests.stateful import store_calls
from tests.stateful.bucket import etag
from tests.stateful.session_requests import SessionRequests, needs_session


class StoreRequests(SessionRequests):
    """Ask for a URL, send a part to it, tell of it; also when it was given long ago."""

    @needs_session
    def presign(self, which, number):
        """POST presign, for a part."""
        self._presign(self.session_at(which), number)

    def _presign(self, place, number):
        what = partial(store_calls.presign, session=place, number=number)
        recorded = sorted(self.model.sessions[place].parts)
        answer = self.call(what, "POST", f"{self.session_url(place)}/presign", {"parts": [[number, number]]})
        if answer.status == 200:
            found = {part["part_number"]: part for part in answer.members["parts"]}
            assert sorted(found) == sorted({number} - set(recorded))
            received = [n for first, last in answer.members["received_parts"] for n in range(first, last + 1)]
            assert received == recorded
            for part in found.values():
                assert part["size_bytes"] == self.model.sessions[place].part_size(number)
                self.owner.urls[self.model.sessions[place].id, number] = part["url"]

    @needs_session
    def send_to_store(self, which, number, other, tell):
        """PUT a part to the URL that was given for it, now or before, and tell of it, or not, or by another ETag."""
        place = self.session_at(which)
        data = self._send(place, number, other)
        if data is not None and tell:
            self._report(place, number, {"named": data, "another": b"another", "unnamed": None}[tell])

    @needs_session
    def send_all_to_store(self, which, tell, late):
        """PUT each part that is missing to the store, tell of it or not, and finalize; with other bytes `late`."""
        place = self.session_at(which)
        for number in range(1, self.model.sessions[place].total_parts + 1):
            if number not in self.model.sessions[place].parts:
                data = self._send(place, number, False)
                if data is not None and tell:
                    self._report(place, number, data)
        if late and (self.model.sessions[place].id, 1) in self.owner.urls:
            self._send(place, 1, True)
        self._finalize(place)

    def _send(self, place, number, other):
        """Return what was sent; None without a URL."""
        pk = self.model.sessions[place].id
        if (pk, number) not in self.owner.urls:
            self._presign(place, number)
        if (pk, number) not in self.owner.urls:
            return None
        data = self.part_of(place, number)
        data = bytes(len(data)) if other else data
        taken = store_calls.send(self.model, place, number, data)
        # What has ended may be in the store for a while.
        assert self.world.storage.client.send(self.owner.urls[pk, number], data) or not taken
        return data

    @needs_session
    def report(self, which, number):
        """POST complete of a part that may not be there."""
        self._report(self.session_at(which), number, None)

    def _report(self, place, number, named):
        what = partial(store_calls.report, session=place, number=number, named=named)
        body = {} if named is None else {"etag": etag(named)}
        self.call(what, "POST", f"{self.session_url(place)}/parts/{number}/complete", body)

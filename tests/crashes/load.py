"""The mixed load: clients that open, send, race, finalize, abort and delete, and go on after every crash."""

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor, wait

from tests.crashes.calls import Calls
from tests.crashes.line import Lost
from tests.crashes.uploads import CHUNK, HEAVY_BYTES, HEAVY_CHUNK, LEAST, STRAY

#: So many uploads of a client are open at a time; so many that ended are kept before the oldest is deleted.
OPEN, KEPT = 3, 8
PAUSE_SECONDS = 0.05


class Client(threading.Thread):
    """One client with two connections, which thinks for `pause` seconds after each step.

    `settle()` makes it finish what is open and begin nothing new.
    """

    def __init__(self, name, url, token, *, log, dice, batch_id, pause=0):
        super().__init__(name=name, daemon=True)
        self.log, self.dice, self.batch_id, self.pause = log, dice, batch_id, pause
        self.calls = [Calls(url, token, log), Calls(url, token, log)]
        self.open, self.kept = [], []
        self._settling, self._stop_now = threading.Event(), threading.Event()

    def settle(self):
        """Finish all that is open, then end."""
        self._settling.set()

    def stop(self):
        """End after the request that is under way."""
        self._stop_now.set()

    def run(self):
        """Work until told to stop; a lost answer makes the upload unsure, any other error is a fault."""
        with ThreadPoolExecutor(2) as self.threads:
            while not self._stop_now.is_set() and (self.busy or not self._settling.is_set()):
                try:
                    again = self._step()
                except Lost:
                    again = True
                except Exception:  # noqa: BLE001 - a thread that dies silently would judge nothing
                    self.log.fault(f"{self.name} broke:\n{traceback.format_exc()}")
                    return
                self._stop_now.wait(PAUSE_SECONDS if again else self.pause)
        for calls in self.calls:
            calls.line.close()

    @property
    def busy(self):
        """Whether something is open, or about to be deleted."""
        return bool(self.open) or len(self.kept) > KEPT

    def _step(self):
        """Do one thing with one upload; return True when it is to be waited a little."""
        if len(self.kept) > KEPT:
            return self._retire(self.kept[0])
        upload = self._choose()
        again = self._go_on(upload)
        if upload.deleted or (upload.ended and not upload.unsure):
            self.open.remove(upload)
            if not upload.deleted:
                self.kept.append(upload)
        return again

    def _choose(self):
        begun = [upload for upload in self.open if not upload.finalizing]
        if not self._settling.is_set() and (not begun or (len(begun) < OPEN and self.dice.random() < 0.3)):
            self.open.append(self._new())
        return self.dice.choice(self.open)

    def _new(self):
        dice, kind = self.dice, self.dice.random()
        chunk, size = CHUNK, self._some_bytes(6)
        if kind < 0.04:
            size = 0
        elif kind < 0.13:
            chunk, size = HEAVY_CHUNK, HEAVY_BYTES + self._some_bytes(1)
        firm = dice.random() < 0.3
        batch_id = self.batch_id if dice.random() < 0.7 else None
        return self.log.new(chunk=chunk, size=size, firm=firm, lies=firm and dice.random() < 0.2, batch_id=batch_id)

    def _some_bytes(self, parts):
        return CHUNK * self.dice.randrange(parts) + self.dice.randint(LEAST, CHUNK)

    def _go_on(self, upload):
        first, chance = self.calls[0], self.dice.random()
        if upload.session_id is None:
            return first.open(upload)
        if upload.delete_sent:
            return first.delete(upload)
        if upload.unsure or (upload.finalizing and chance < 0.9):
            return first.look(upload)
        if not self._settling.is_set():
            if chance < 0.02:
                return self._both((first.abort, upload), (self.calls[1].finalize, upload))
            if chance < 0.04:
                return first.abort(upload)
            if chance < 0.05 and not upload.finalize_sent and not upload.abort_sent:
                return first.delete(upload)
        return self._send(upload) if upload.missing else self._finish(upload, self.dice.random())

    def _send(self, upload):
        """Send a part in one of the ways in which clients send parts; the wish for another version needs a reason."""
        dice, (first, second), chance = self.dice, self.calls, self.dice.random()
        number = dice.choice(upload.missing)
        version = 0 if upload.firm or number not in upload.tried else dice.choice((0, 1))
        if chance < 0.06:
            return first.break_off(upload, number)
        if chance < 0.12:
            other = version if upload.firm else 1 - version
            return self._both((first.put, upload, number, version), (second.put, upload, number, other))
        if chance < 0.4 and len(upload.missing) > 1:
            neighbour = dice.choice([other for other in upload.missing if other != number])
            return self._both((first.put, upload, number, version), (second.put, upload, neighbour, 0))
        if chance < 0.5 and upload.acknowledged:
            known = dice.choice(list(upload.acknowledged))
            return first.put(upload, known, dice.choice((upload.acknowledged[known], STRAY)))
        if chance < 0.53:
            return first.finalize_early(upload)
        return first.put(upload, number, version)

    def _finish(self, upload, chance):
        first, second = self.calls
        if chance < 0.2:
            return self._both((first.finalize, upload), (second.finalize, upload))
        if chance < 0.4 and upload.acknowledged:
            number = self.dice.choice(list(upload.acknowledged))
            version = self.dice.choice((upload.acknowledged[number], STRAY))
            upload.finalize_sent = True
            return self._both((first.put, upload, number, version), (second.finalize, upload))
        return first.finalize(upload)

    def _both(self, *calls):
        """Make two calls at once, each on a connection of its own; afterwards only a look tells who was first."""
        upload = calls[0][1]
        lanes = [self.threads.submit(call, *arguments) for call, *arguments in calls]
        wait(lanes)
        upload.unsure = True
        # What is no crash of the portal but an error of ours comes first.
        for lane in sorted(lanes, key=lambda lane: isinstance(lane.exception(), Lost)):
            lane.result()
        return False

    def _retire(self, upload):
        """Read an upload that ended once more, then delete it; or open its FAILED file again."""
        first, fresh = self.calls[0], not (upload.delete_sent or self._settling.is_set())
        if fresh and upload.ended != "STORED" and upload.batch_id and self.dice.random() < 0.5:
            upload.replaced = True
            fields = {"chunk": CHUNK, "size": self._some_bytes(3), "batch_id": upload.batch_id}
            self.open.append(self.log.new(replaces=upload, **fields))
            self.kept.pop(0)
            return False
        if fresh and upload.ended == "STORED" and first.read(upload):
            return True
        again = first.delete(upload)
        if upload.deleted:
            self.kept.pop(0)
        return again

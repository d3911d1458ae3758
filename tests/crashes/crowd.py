"""Clients of a portal whose disk is full or fails: they send until they are refused, wait, and finish when they can."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from tests.crashes.calls import Calls
from tests.crashes.judge import Judge
from tests.crashes.line import TRY_AGAIN, Line, Lost

CLIENTS = 4
CHUNK, PARTS = 512 * 2**10, 4
#: Far more than fits on the disks of these tests.
MOST_FILES = 60
FINISH_SECONDS = 90
EXCUSED = (*TRY_AGAIN, "insufficient_storage", "storage_unavailable")


class Crowd:
    """Four clients with a token and a batch; what must not be is a fault in `log`."""

    def __init__(self, portal, log):
        self.portal, self.log = portal, log
        token = portal.create_token("ann")
        self.line = Line(portal.url, token, log.fault, log.excused)
        self.lanes = [Calls(portal.url, token, log) for _ in range(CLIENTS)]
        self.batch_id = self.line.ask("POST", "/batches", {"name": "full"}).members["id"]
        self.open = []

    def expect(self, truth, what):
        """Note a fault unless `truth`."""
        if not truth:
            self.log.fault(f"not so: {what}")

    def send_all(self, *, files):
        """Send all parts of so many new files."""
        for number in range(files):
            self._send(self.lanes[number % CLIENTS], refusals=())

    def send_until_refused(self, refusals):
        """Let every client send files until it is refused, with one of `refusals`: pairs of status and code."""
        with ThreadPoolExecutor(CLIENTS) as threads:
            for lane in [threads.submit(self._send_many, calls, refusals) for calls in self.lanes]:
                lane.result()

    def reads_are_answered(self):
        """Expect 200 for lists, and the right bytes of what is STORED."""
        for path in ("/batches", f"/batches/{self.batch_id}", "/files", "/uploads/sessions"):
            status = self.line.ask("GET", path).status
            self.expect(status == 200, f"GET {path} is answered: {status}")
        for upload in self.log.uploads:
            if upload.ended == "STORED":
                self.expect(not self.lanes[0].read(upload), f"{upload.name} can be read")

    def abort_half(self):
        """Give every second upload up."""
        for upload in [upload for upload in self.open if upload.session_id][::2]:
            self.expect(not self.lanes[0].abort(upload), f"{upload.name} can be given up")
        self._forget_ended()

    def finalize_all(self):
        """Ask once for the finalize of everything that is whole, whatever the answer."""
        for upload in self.open:
            if upload.session_id and not upload.missing:
                self.lanes[0].finalize(upload)
        self._forget_ended()

    def finish(self):
        """Bring everything to its end, as clients do that come again, and judge it."""
        deadline = time.monotonic() + FINISH_SECONDS
        while self.open and not self.log.faults:
            for upload in self.open:
                self._go_on(self.lanes[0], upload)
            self._forget_ended()
            if time.monotonic() > deadline:
                self.log.fault(f"no end within {FINISH_SECONDS} s: {[upload.name for upload in self.open]}")
            time.sleep(0.05)
        if not self.log.faults:
            Judge(self.portal, self.line, self.log).judge_end(self.batch_id)

    def close(self):
        """Close all connections."""
        for line in (self.line, *(calls.line for calls in self.lanes)):
            line.close()

    def _send_many(self, calls, refusals):
        for _ in range(MOST_FILES):
            if self._send(calls, refusals):
                return
        self.log.fault(f"{MOST_FILES} files were sent, and nothing was refused")

    def _send(self, calls, refusals):
        """Send one new file; return True once refused."""
        upload = self.log.new(chunk=CHUNK, size=CHUNK * PARTS - 1, batch_id=self.batch_id)
        self.open.append(upload)
        steps = [(calls.open, upload), *((calls.put, upload, number, 0) for number in range(1, PARTS + 1))]
        return any(self._is_refused(calls, refusals, *step) for step in steps)

    def _is_refused(self, calls, refusals, call, *arguments):
        while call(*arguments):
            answer = calls.line.last
            if (answer.status, answer.code) in refusals:
                return True
            self.expect(answer.code in TRY_AGAIN, f"{call.__name__} answered {answer.status} {answer.code}")
            if self.log.faults:
                return True
            time.sleep(0.05)
        return False

    def _go_on(self, calls, upload):
        try:
            if upload.session_id is None:
                calls.open(upload)
            elif upload.unsure or upload.finalizing:
                calls.look(upload)
            elif upload.missing:
                calls.put(upload, random.choice(upload.missing), 0)
            else:
                calls.finalize(upload)
        except Lost:
            upload.unsure = upload.session_id is not None

    def _forget_ended(self):
        self.open = [upload for upload in self.open if not upload.ended]

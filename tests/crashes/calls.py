"""One client's calls: each sends a request, compares its answer with all that is known, and writes down what is new."""

import hashlib

from tests.crashes.line import Line, Lost
from tests.crashes.uploads import STRAY


def numbers(ranges):
    """Return the set of the part numbers in `ranges`."""
    return {number for first, last in ranges for number in range(first, last + 1)}


class Calls:
    """Every call returns True when it is to be tried again later, and raises Lost when its answer did not come."""

    def __init__(self, url, token, log):
        self.log = log
        self.line = Line(url, token, log.fault, log.excused)

    def open(self, upload):
        """Open the session; the same key again gives the same session, whichever answers were lost."""
        answer = self.line.ask("POST", "/uploads/sessions", upload.describe(), idempotency_key=upload.name)
        if answer.again or self._refused(upload, answer, 201, 200):
            return True
        upload.session_id, upload.file_id = answer.members["session_id"], answer.members["file_id"]
        if upload.replaces and upload.file_id != upload.replaces.file_id:
            self.log.fault(f"{upload.name}: the file on the path {upload.path} is another one")

    def put(self, upload, number, version):
        """Send one part."""
        upload.tried.setdefault(number, set()).add(version)
        answer = self._ask(upload, "PUT", f"/parts/{number}", upload.data(number, version))
        if answer.status == 200:
            if answer.members["digest"]["value"] != upload.digest(number, version):
                self.log.fault(f"{upload.name} part {number}: the answer has another digest")
            self.log.count("parts")
            return self.log.vouch(upload, number, version)
        if answer.code == "part_conflict":
            # Somebody must have sent what is on record: these very bytes cannot conflict with themselves.
            if upload.acknowledged.get(number) == version or upload.tried[number] <= {version, STRAY}:
                self.log.fault(f"{upload.name} part {number}: conflict with bytes that nobody sent")
            self.log.count("conflicts")
            upload.unsure = upload.unsure or number not in upload.acknowledged
            return None
        return self._closed(upload, answer)

    def break_off(self, upload, number):
        """Begin a part with bytes that it never gets, and go away in the middle of it."""
        self.line.break_off(f"/uploads/sessions/{upload.session_id}/parts/{number}", upload.data(number, STRAY))
        self.log.count("broken off")

    def finalize(self, upload):
        """Finalize; what is acknowledged is how the upload ended."""
        upload.finalize_sent = True
        answer = self._ask(upload, "POST", "/finalize")
        if answer.status == 200:
            return self._stored(upload, answer.members)
        if answer.status == 202:
            upload.finalizing = True
            self.log.count("202")
            return True
        if answer.code == "sha256_mismatch" and upload.lies:
            return self.log.end(upload, "FAILED")
        if answer.code == "missing_parts":
            return self._still_missing(upload, answer)
        return self._closed(upload, answer)

    def finalize_early(self, upload):
        """Finalize with parts missing: refused with what is missing, and the session stays open."""
        answer = self._ask(upload, "POST", "/finalize")
        if answer.again or self._refused(upload, answer, 400):
            return True
        self._still_missing(upload, answer)

    def abort(self, upload):
        """Abort."""
        upload.abort_sent = True
        answer = self._ask(upload, "DELETE", "")
        return self.log.end(upload, "ABORTED") if answer.status == 204 else self._closed(upload, answer)

    def delete(self, upload):
        """Delete the file, whatever became of it; gone is gone once this was sent."""
        before, upload.delete_sent = upload.delete_sent, True
        answer = self.line.ask("DELETE", f"/files/{upload.file_id}")
        if answer.again or self._refused(upload, answer, 204, *([404] if before else [])):
            return True
        upload.deleted = True
        self.log.count("deleted")

    def read(self, upload):
        """Download a STORED file and compare its bytes."""
        answer = self.line.ask("GET", f"/files/{upload.file_id}/content")
        if answer.again:
            return True
        if answer.status != 200 or hashlib.sha256(answer.body).hexdigest() != upload.stored_sha256:
            self.log.fault(f"{upload.name} {upload.file_id}: its content ({answer.status}) is not what was sent")
        self.log.count("read")

    def look(self, upload):
        """Ask what became of everything whose outcome is unknown."""
        answer = self._ask(upload, "GET", "")
        if answer.again or self._refused(upload, answer, 200):
            return True
        members = answer.members
        received = numbers(members["received_parts"])
        if not received <= set(upload.acknowledged):
            self._learn(upload)
        if members["status"] == "COMPLETE":
            file = self.line.ask("GET", f"/files/{upload.file_id}")
            if file.again or self._refused(upload, file, 200):
                return True
            self._stored(upload, file.members)
        elif members["status"] in ("FAILED", "ABORTED", "EXPIRED"):
            self.log.end(upload, members["status"])
        elif not set(upload.acknowledged) <= received:
            self.log.fault(f"{upload.name} {upload.session_id}: lost {sorted(set(upload.acknowledged) - received)}")
        upload.unsure, upload.finalizing = False, members["status"] == "FINALIZING"
        return upload.finalizing

    def _learn(self, upload):
        """Vouch for the parts that are on record though their answers were lost: the digest tells which bytes."""
        for part in self.line.pages(f"/uploads/sessions/{upload.session_id}/parts?limit=1000"):
            number, value = part["part_number"], part["digest"]["value"]
            sent = [v for v in upload.tried.get(number, ()) if v != STRAY and upload.digest(number, v) == value]
            if not sent:
                self.log.fault(f"{upload.name} part {number}: nobody sent the bytes that are on record")
                continue
            if number not in upload.acknowledged:
                self.log.count("found on record")
            self.log.vouch(upload, number, sent[0])

    def _stored(self, upload, file):
        if not set(range(1, upload.total_parts + 1)) <= set(upload.acknowledged):
            self._learn(upload)
        upload.stored_sha256 = upload.sha256()
        if (file["status"], file["sha256"], file["size_bytes"]) != ("STORED", upload.stored_sha256, upload.size):
            self.log.fault(f"{upload.name} {upload.file_id}: {file['status']} with {file['sha256']}")
        self.log.end(upload, "STORED")

    def _still_missing(self, upload, answer):
        lost = numbers(answer.members.get("missing_parts", [])) & set(upload.acknowledged)
        if lost or not upload.missing:
            self.log.fault(f"{upload.name} {upload.session_id}: acknowledged parts are missing: {sorted(lost)}")

    def _ask(self, upload, method, path, body=None):
        try:
            return self.line.ask(method, f"/uploads/sessions/{upload.session_id}{path}", body)
        except Lost:
            upload.unsure = True
            raise

    def _closed(self, upload, answer):
        """What is not open any more must have been closed by somebody; everything else must not happen."""
        upload.unsure = True
        if answer.again:
            return True
        asked_for = upload.finalize_sent or upload.abort_sent or upload.delete_sent or upload.left_alone
        if answer.code != "session_closed" or not asked_for:
            self._refused(upload, answer)
        return True

    def _refused(self, upload, answer, *expected):
        """Return True, and keep the fault, when the answer is none of the expected statuses."""
        if answer.status in expected:
            return False
        if answer.status < 500:  # the line has told of the others
            self.log.fault(f"{upload.name} {upload.session_id}: unexpected {answer.status} {answer.body[:300]!r}")
        return True

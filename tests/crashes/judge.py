"""The judge: compares what the portal shows, keeps and counts with what the clients know for certain."""

import hashlib
from collections import Counter
from uuid import UUID

from tests.crashes.calls import numbers
from tests.server import ServerFailed

EVENTS = {"STORED": "file.uploaded", "FAILED": "file.failed", "ABORTED": "file.failed", "EXPIRED": "file.failed"}
#: Ended: status of the session, status of the file, `error.code` of the file.
ENDS = {
    "STORED": ("COMPLETE", "STORED", None),
    "FAILED": ("FAILED", "FAILED", "sha256_mismatch"),
    "ABORTED": ("ABORTED", "FAILED", "aborted"),
    "EXPIRED": ("EXPIRED", "FAILED", "expired"),
}


class Judge:
    """Looks through a line of its own; each finding is a fault in the clients' log."""

    def __init__(self, portal, line, log):
        self.portal, self.line, self.log, self.fault = portal, line, log, log.fault
        #: Bytes of openings that a kill cut short; no row names them, and they go when they are a day old.
        self.young = 0

    def judge_round(self):
        """Judge while the clients work: what was acknowledged before the lists were read is in them."""
        before = [(upload, dict(upload.acknowledged), upload.ended) for upload in list(self.log.uploads)]
        before = [known for known in before if known[0].session_id and not known[0].deleted]
        sessions = {row["session_id"]: row for row in self.line.pages("/uploads/sessions?limit=1000")}
        files = {row["id"]: row for row in self.line.pages("/files?status=STORED&limit=1000")}
        for upload, acknowledged, ended in before:
            # Whoever asks for an end says so before; and the file of a replaced upload is its successor's to delete.
            if not upload.delete_sent and not upload.replaced:
                self._judge_session(upload, acknowledged, ended, sessions.get(upload.session_id))
                file = files.get(upload.file_id)
                if ended == "STORED" and (file is None or file["sha256"] != upload.stored_sha256):
                    self.fault(f"{upload.name} {upload.file_id}: was STORED, and now is {file}")

    def _judge_session(self, upload, acknowledged, ended, row):
        name = f"{upload.name} {upload.session_id}"
        if row is None:
            return self.fault(f"{name}: is gone")
        lost = set(acknowledged) - numbers(row["received_parts"])
        if lost and row["status"] in ("INIT", "IN_PROGRESS", "FINALIZING", "COMPLETE"):
            self.fault(f"{name}: acknowledged parts are lost: {sorted(lost)}")
        asked_for = {
            "FINALIZING": upload.finalize_sent,
            "COMPLETE": upload.finalize_sent,
            "FAILED": upload.finalize_sent and upload.lies,
            "ABORTED": upload.abort_sent,
            "EXPIRED": upload.left_alone,
        }
        if not asked_for.get(row["status"], True) or (ended and row["status"] != ENDS[ended][0]):
            self.fault(f"{name}: is {row['status']}, was {ended}")

    def judge_end(self, batch_id):
        """Judge everything, once all clients have come to an end."""
        self.judge_round()
        opened = [upload for upload in self.log.uploads if upload.session_id]
        living = [upload for upload in opened if not upload.deleted and not upload.replaced]
        for upload in self.log.uploads:
            if upload.session_id is None or not (upload.ended or upload.deleted):
                self.fault(f"{upload.name} {upload.session_id}: came to no end")
        self._judge_files(living)
        self._judge_counters(batch_id, [upload for upload in living if upload.batch_id])
        self._judge_events(opened)
        self._judge_drift()
        self._judge_leftovers(opened)

    def _judge_files(self, living):
        files = {row["id"]: row for row in self.line.pages("/files?limit=1000")}
        if set(files) != {upload.file_id for upload in living}:
            self.fault(f"files that nobody knows or nobody has: {set(files) ^ {upload.file_id for upload in living}}")
        for upload in living:
            file = files.get(upload.file_id, {})
            status, code = file.get("status"), (file.get("error") or {}).get("code")
            if (status, code) != ENDS.get(upload.ended, (None,) * 3)[1:]:
                self.fault(f"{upload.name} {upload.file_id}: is {status} {code}, ended as {upload.ended}")
            elif status == "STORED":
                self._judge_bytes(upload)

    def _judge_bytes(self, upload):
        content = self.line.ask("GET", f"/files/{upload.file_id}/content")
        digest = hashlib.sha256(content.body).hexdigest()
        if content.status != 200 or digest != upload.stored_sha256 or digest != upload.sha256():
            self.fault(f"{upload.name} {upload.file_id}: {content.status}, its bytes have SHA-256 {digest}")
        parts = self.line.pages(f"/uploads/sessions/{upload.session_id}/parts?limit=1000")
        found = {part["part_number"]: part["digest"]["value"] for part in parts}
        if found != {number: upload.digest(number, version) for number, version in upload.acknowledged.items()}:
            self.fault(f"{upload.name} {upload.session_id}: its parts are not those that were acknowledged")

    def _judge_counters(self, batch_id, uploads):
        stored = [upload for upload in uploads if upload.ended == "STORED"]
        expected = {
            "total_files": len(uploads),
            "stored_count": len(stored),
            "failed_count": len(uploads) - len(stored),
            "pending_count": 0,
            "total_bytes": sum(upload.size for upload in uploads),
            "stored_bytes": sum(upload.size for upload in stored),
        }
        batch = self.line.ask("GET", f"/batches/{batch_id}").members
        if {name: batch.get(name) for name in expected} != expected:
            self.fault(f"batch {batch_id}: {batch}, the clients count {expected}")

    def _judge_events(self, opened):
        told = self.portal.rows("SELECT subject_id, event_type FROM portal_outboxevent")
        found = Counter((str(UUID(str(subject))), kind) for subject, kind in told)
        expected = Counter((upload.session_id, EVENTS[upload.ended]) for upload in opened if upload.ended)
        if found != expected:
            self.fault(f"events missing: {list(expected - found)[:5]}, events too many: {list(found - expected)[:5]}")

    def _judge_drift(self):
        try:
            said = self.portal.command("reconcile_batches")
        except ServerFailed as error:
            said = str(error)
        if "drift=0" not in said:
            self.fault(f"reconcile_batches: {said}")

    def _judge_leftovers(self, opened):
        """After one clean-up the disk holds the STORED files and nothing else, but for openings that were cut short."""
        self.portal.manage("cleanup_uploads")
        dead = "status <> 'COMPLETE' AND NOT bytes_removed OR file_id IS NULL"
        waiting = self.portal.rows(f"SELECT id FROM portal_uploadsession WHERE {dead}")
        if waiting:
            self.fault(f"sessions whose bytes are still to be removed: {waiting[:5]}")
        known = {UUID(upload.session_id).hex for upload in opened}
        known |= {UUID(str(pk)).hex for (pk,) in self.portal.rows("SELECT id FROM portal_uploadsession")}
        staged = {path.name for path in self.portal.storage.glob("staging/*/*")}
        self.young = len(staged - known)
        if staged & known:
            self.fault(f"staging files of sessions that have ended: {sorted(staged & known)[:5]}")
        named = {
            key for (key,) in self.portal.rows("SELECT storage_key FROM portal_ingestfile WHERE status = 'STORED'")
        }
        root = self.portal.storage / "objects"
        kept = {path.relative_to(root).as_posix() for path in root.glob("*/*/*")}
        if kept != named:
            self.fault(f"objects that no file names: {sorted(kept - named)[:5]}, or none: {sorted(named - kept)[:5]}")
        trash = [path.name for path in self.portal.storage.glob("trash/*")]
        if trash:
            self.fault(f"the trash is not empty: {trash[:5]}")

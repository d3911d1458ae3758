"""The portal's calls, one method each, with typed answers."""

import hashlib
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from portal_client.bodies import Body, Sent
from portal_client.errors import BadAnswer, NotFound
from portal_client.lists import Lists
from portal_client.members import Batch, File, Limits, Receipt, Results, Session, SignedPart, SignedParts, is_id


def _once(key: str | None = None) -> dict[str, str]:
    """Return the header that makes a POST safe to repeat; whoever has the same `key` repeats the same one."""
    return {"Idempotency-Key": key or str(uuid.uuid4())}


class Api(Lists):
    """Every call raises ApiError by its code, Unreachable when patience is over, Stopped once it is called off."""

    # Batches

    def limits(self) -> Limits:
        """Return what the portal takes."""
        return Limits.read(self._get("/limits"))

    def create_batch(
        self, name: str = "", *, expected_files: int | None = None, metadata: dict[str, Any] | None = None
    ) -> Batch:
        """Make a batch; with `expected_files` the last of them completes it."""
        fields = {"name": name, "expected_files": expected_files, "metadata": metadata or {}}
        return Batch.read(self.transport.call("POST", "/batches", content=fields, headers=_once()).members)

    def batch(self, batch_id: str) -> Batch:
        """Return a batch as it is now."""
        return Batch.read(self._get(f"/batches/{batch_id}"))

    def find_batch(self, name_or_id: str) -> Batch | None:
        """Return the batch of this id, or the newest of this name that is not cancelled; None when there is none."""
        return self.look_for_batch(name_or_id)[0]

    def look_for_batch(self, name_or_id: str) -> tuple[Batch | None, str]:
        """Return what `find_batch` does, and the id of the newest batch of this name, cancelled or not, or ""."""
        if is_id(name_or_id):
            with suppress(NotFound):  # a folder may be named like that
                return self.batch(name_or_id), ""
        newest = ""
        for batch in self.batches():
            if batch.name == name_or_id:
                newest = newest or batch.id
                if batch.status != "CANCELLED":
                    return batch, newest
        return None, newest

    def open_batch(self, name_or_id: str, newest: str | None = None) -> Batch:
        """Return the batch of this name or id; a name that none has becomes one, once for all that ask at once.

        Whoever has looked and found none says which was the `newest`.
        """
        if newest is None:
            found, newest = self.look_for_batch(name_or_id)
            if found:
                return found
        while True:
            key = hashlib.sha256(f"{newest} {name_or_id}".encode(errors="surrogatepass")).hexdigest()
            answer = self.transport.call("POST", "/batches", content={"name": name_or_id}, headers=_once(key))
            batch = Batch.read(answer.members)
            if not answer.headers.get("Idempotent-Replayed"):
                return batch
            # Somebody else's, made since or long ago: it may be another by now.
            batch = self.batch(batch.id)
            if batch.status != "CANCELLED":
                return batch
            newest = batch.id

    def seal(self, batch_id: str, *, expected_files: int | None = None, manifest_sha256: str | None = None) -> Batch:
        """Let no more files join, if the batch has what is expected; raises SealMismatch."""
        fields = {"expected_files": expected_files, "manifest_sha256": manifest_sha256}
        content = {name: value for name, value in fields.items() if value is not None}
        return Batch.read(self.transport.call("POST", f"/batches/{batch_id}/seal", content=content).members)

    def cancel(self, batch_id: str, *, delete_files: bool = False) -> None:
        """Give a batch up; its stored files stay, unless `delete_files`."""
        self.transport.call("DELETE", f"/batches/{batch_id}{'?files=delete' if delete_files else ''}")

    def receipt(self, batch_id: str) -> Receipt:
        """Return the receipt; raises BatchNotComplete until everything has ended."""
        return Receipt.read(self._get(f"/batches/{batch_id}/receipt"))

    def manifest(self, batch_id: str) -> bytes:
        """Return the receipt as `sha256sum -c` takes it: `<sha256>  <path>` for each stored file, by path."""
        path = f"/batches/{batch_id}/receipt"
        return self.transport.call("GET", path, headers={"Accept": "text/plain"}).body

    # Files

    def file(self, file_id: str) -> File:
        """Return a file as it is now."""
        return File.read(self._get(f"/files/{file_id}"))

    def file_at(self, batch_id: str, path: str) -> File | None:
        """Return the file of this path in a batch, or None; one request, however many files there are."""
        page = next(self.pages(f"/batches/{batch_id}/files", path_prefix=path, limit=1))
        file = File.read(page[0]) if page else None
        return file if file and file.path == path else None

    def delete_file(self, file_id: str) -> None:
        """Remove a file and its bytes."""
        self.transport.call("DELETE", f"/files/{file_id}")

    def declare(self, batch_id: str, files: Iterable[tuple[str, int, str]]) -> list[dict[str, Any]]:
        """Declare files of a batch, at most `max_bulk_files`, each by path, size and SHA-256; return what to do for it.

        Where the `action` is `stored`, the batch has the file now: it was there, or the portal has such bytes of one's.
        """
        entries = [{"path": path, "total_size_bytes": size, "sha256": sha256} for path, size, sha256 in files]
        answer = self.transport.call("POST", f"/batches/{batch_id}/files", content={"files": entries}, headers=_once())
        results = Results.read(answer.members).results
        if len(results) != len(entries):
            raise BadAnswer("The answer is not that of a portal: it has another number of results.")
        return results

    def put_file(self, batch_id: str, path: str, body: Body, *, sent: Sent | None = None) -> File:
        """Store one file of a batch in one request; the same bytes again are the same file."""
        headers = {"Content-Type": "application/octet-stream"}
        place = f"/batches/{batch_id}/files/{quote(path, safe='/')}"
        return File.read(self.transport.call("PUT", place, body=body, headers=headers, sent=sent).members)

    def put_bundle(self, batch_id: str, archive: Body) -> list[dict[str, Any]]:
        """Store the members of a tar in one request; return the result of each, in order."""
        headers = {"Content-Type": "application/x-tar"}
        answer = self.transport.call("POST", f"/batches/{batch_id}/files", body=archive, headers=headers)
        return Results.read(answer.members).results

    # Sessions

    def open_session(
        self,
        name: str,
        size: int,
        *,
        batch_id: str | None = None,
        path: str | None = None,
        sha256: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Session:
        """Open a file that is sent in parts; with `sha256`, finalize refuses other bytes."""
        fields = {
            "original_filename": name[-255:],
            "total_size_bytes": size,
            "batch_id": batch_id,
            "path": path,
            "sha256": sha256,
            "metadata": metadata or {},
        }
        answer = self.transport.call("POST", "/uploads/sessions", content=fields, headers=_once())
        return Session.read(answer.members)

    def session(self, session_id: str) -> Session:
        """Return what has arrived of a file, and what is missing."""
        return Session.read(self._get(f"/uploads/sessions/{session_id}"))

    def put_part(self, session_id: str, number: int, body: Body, *, sent: Sent | None = None) -> None:
        """Store part `number`; when it returns, the bytes are on stable storage."""
        self.transport.call("PUT", f"/uploads/sessions/{session_id}/parts/{number}", body=body, sent=sent)

    def finalize(self, session_id: str) -> tuple[File | None, float]:
        """Turn the parts into a stored file: `(file, 0)`, or `(None, seconds)` to ask again after, while it goes on."""
        answer = self.transport.call("POST", f"/uploads/sessions/{session_id}/finalize")
        if answer.status == 202:
            return None, answer.retry_after or 1.0
        return File.read(answer.members), 0.0

    def abort(self, session_id: str) -> None:
        """Give up an upload; its file is FAILED and may be opened again."""
        self.transport.call("DELETE", f"/uploads/sessions/{session_id}")

    def presign(self, session_id: str, ranges: Iterable[list[int]]) -> list[SignedPart]:
        """Return where to send those parts (at most 100) of `ranges` that have not arrived, past the portal.

        Raises PresignUnsupported where the portal keeps its bytes itself.
        """
        answer = self.transport.call("POST", f"/uploads/sessions/{session_id}/presign", content={"parts": list(ranges)})
        return [SignedPart.read(part) for part in SignedParts.read(answer.members).parts]

    def complete_part(self, session_id: str, number: int, etag: str | None = None) -> None:
        """Put a part on record that was sent past the portal."""
        content = {"etag": etag} if etag else {}
        self.transport.call("POST", f"/uploads/sessions/{session_id}/parts/{number}/complete", content=content)

    def _get(self, path: str) -> Any:
        return self.transport.call("GET", path).members

"""One large file on its way: in parts, by many threads, to be gone on with after whatever went wrong."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from portal_client.bodies import Piece
from portal_client.errors import (
    ApiError,
    BytesDamaged,
    MissingParts,
    NotFound,
    PartConflict,
    PathTaken,
    PortalError,
    SessionClosed,
    Sha256Mismatch,
)
from portal_client.members import File, Session, SignedPart
from portal_client.plans import differs
from portal_client.presigned import send_signed

if TYPE_CHECKING:
    from portal_client.sending import Sender
    from portal_client.sources import Source

#: How often a file is begun anew when what the portal holds of it turns out to be something else.
BEGINNINGS = 3
#: Sessions that take parts.
OPEN = ("INIT", "IN_PROGRESS")
#: What of a session tells that its parts are of no use, or that it has ended under us.
USELESS = (PartConflict, SessionClosed, NotFound, Sha256Mismatch, BytesDamaged)


class PartedUpload:
    """The upload of one source: begin, then its parts in any order, then finish, each a job of the crew."""

    def __init__(self, sender: "Sender", source: "Source") -> None:
        self.sender, self.source, self.api = sender, source, sender.api
        self.sha256 = ""
        self.beginnings = 0
        self.session: Session | None = None
        self.signed: dict[int, SignedPart] = {}
        self.lock = threading.Lock()
        self._left = self._counted = 0
        self._over = False
        #: Seconds, once the portal is at the last step.
        self.ask_again_after = 0.0

    def begin(self, known: File | None = None) -> None:
        """Read the file's digest, open its session or go on with that of `known`, and put its parts to work."""
        self.beginnings += 1
        self.sender.progress.start(self.source.path, self.source.size)
        self.sha256 = self.sender.digests.reckon(self.source)
        session = self._session(known)
        if session is None:
            return
        self.session, self._counted = session, session.received_bytes
        self.sender.progress.advance(self.source.path, session.received_bytes)
        self._put_parts(session, session.missing_parts if session.status in OPEN else [])

    def _session(self, known: File | None) -> Session | None:
        """Return an open or finalizing session with the right bytes; None when the file has ended instead."""
        while True:
            if known and known.status == "STORED":
                if known.sha256 == self.sha256:
                    self.sender.last = known
                    self.sender.stored(self.source, self.sha256, sent=False)
                else:
                    self.sender.failed(differs(self.source))
                return None
            if known and known.status == "UPLOADING" and known.session_id:
                session = self._take_up(known, known.session_id)
                if session:
                    return session
            try:
                return self._open()
            except PathTaken:
                self.beginnings += 1
                if self.beginnings > BEGINNINGS:
                    raise
                known = self._look()

    def _open(self) -> Session:
        # The digest stands in the metadata too, where a later run sees of which bytes the parts are.
        return self.api.open_session(
            self.source.path.rpartition("/")[2],
            self.source.size,
            batch_id=self.sender.batch_id,
            path=self.source.path if self.sender.batch_id else None,
            sha256=self.sha256,
            metadata={"sha256": self.sha256},
        )

    def _take_up(self, known: File, session_id: str) -> Session | None:
        """Return the session of a file that is on its way if it is of these bytes, else give it up."""
        with contextlib.suppress(SessionClosed, NotFound):
            session = self.api.session(session_id)
            same = known.metadata.get("sha256") == self.sha256 and known.size_bytes == self.source.size
            if same and session.status in (*OPEN, "FINALIZING", "COMPLETE"):
                return session
            self.api.abort(session_id)
        return None

    def _put_parts(self, session: Session, ranges: Iterable[list[int]]) -> None:
        numbers = [number for first, last in ranges for number in range(first, last + 1)]
        self._left = len(numbers)
        jobs = [partial(self._guarded, partial(self._send_part, session, number)) for number in numbers]
        self.sender.crew.put_first(jobs or [self.finish])

    def _guarded(self, step: Callable[[], object]) -> None:
        self.sender.guard(self.source, partial(self._step, step))

    def _step(self, step: Callable[[], object]) -> None:
        """Do one step; a file that has failed, or is begun anew, is left alone by the steps that remain."""
        if self._over:
            return
        try:
            step()
        except USELESS as error:
            if self._end():
                self._begin_again(error)
        except PortalError:
            if self._end():
                raise

    def _end(self) -> bool:
        """Let no more steps be done; return whether this is the first to say so."""
        with self.lock:
            over, self._over = self._over, True
        return not over

    def _begin_again(self, error: ApiError) -> None:
        if self.beginnings >= BEGINNINGS:
            raise error
        if isinstance(error, PartConflict) and self.session:
            with contextlib.suppress(SessionClosed, NotFound):
                self.api.abort(self.session.session_id)
        self.sender.progress.advance(self.source.path, -self._counted)
        upload = PartedUpload(self.sender, self.source)
        upload.beginnings = self.beginnings
        upload.begin(self._look())

    def _look(self) -> File | None:
        """Return what the portal has on the file's path."""
        return self.api.file_at(self.sender.batch_id, self.source.path) if self.sender.batch_id else None

    def _send_part(self, session: Session, number: int) -> None:
        start = (number - 1) * session.chunk_size_bytes
        piece = Piece(self.source.file, self.source.stamp, start, session.size_of(number))
        if not (self.sender.presigns and send_signed(self, session, number, piece)):
            self.api.put_part(session.session_id, number, piece, sent=self.tell)
        with self.lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self.sender.crew.put_first([self.finish])

    def tell(self, size: int) -> None:
        """Hear of bytes that go out."""
        with self.lock:
            self._counted += size
        self.sender.tell(self.source, size)

    def finish(self) -> None:
        """Finalize, as a job; an upload that the portal goes on with by itself joins those that wait."""
        self._guarded(self._finish)

    def _finish(self) -> None:
        session = self.session
        assert session is not None  # noqa: S101 - it is begun
        try:
            file, self.ask_again_after = self.api.finalize(session.session_id)
        except MissingParts as error:
            # The store had other bytes for them, or none: they are sent once more.
            self._put_parts(session, error.members["missing_parts"])
            return
        if file is None:
            self.sender.waiting.append(self)
        else:
            self.sender.last = file
            self.sender.stored(self.source, self.sha256)

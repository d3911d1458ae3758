"""Parts that go straight to the store, by URLs that the portal signs in blocks, on demand."""

from typing import TYPE_CHECKING

from portal_client.bodies import Piece
from portal_client.errors import ApiError, PresignUnsupported, Unreachable
from portal_client.members import Session, SignedPart

if TYPE_CHECKING:
    from portal_client.parted import PartedUpload

#: So few at a time, that none lies about until it has expired.
BLOCK = 16


def send_signed(upload: "PartedUpload", session: Session, number: int, piece: Piece) -> bool:
    """Send a part past the portal and put it on record; False when it is to go to the portal instead.

    A store that cannot be reached from here, or wants none of it, is not asked again.
    """
    for _ in range(2):
        try:
            signed = _signed(upload, session, number)
        except PresignUnsupported:
            upload.sender.presigns = False
            return False
        if signed is None:
            return True  # it is on record already
        try:
            answer = upload.api.transport.send_elsewhere(
                signed.method, signed.url, piece, signed.headers, sent=upload.tell
            )
        except ApiError as error:
            if error.passing:
                break
            with upload.lock:
                upload.signed.clear()  # they may have expired
            continue
        except Unreachable:
            break
        upload.api.complete_part(session.session_id, number, answer.headers.get("ETag"))
        return True
    upload.sender.presigns = False
    return False


def _signed(upload: "PartedUpload", session: Session, number: int) -> SignedPart | None:
    """Return where to send a part; None when the portal has it."""
    with upload.lock:
        if number not in upload.signed:
            last = min(number + BLOCK - 1, session.total_parts)
            for part in upload.api.presign(session.session_id, [[number, last]]):
                upload.signed.setdefault(part.part_number, part)
        return upload.signed.pop(number, None)

"""What can go wrong, as exceptions: one for each `code` of a problem that a caller may want to tell apart."""

from collections.abc import Mapping
from typing import Any, ClassVar

#: Answers after which the same request is sent again, by status and by code.
PASSING_STATUSES = frozenset({408, 429, 502, 503, 504, 507})
PASSING_CODES = frozenset({"part_busy", "file_busy", "idempotency_in_progress", "status_conflict"})
#: Answers that may be the line's fault: sent again, but not for long.
DOUBTFUL_STATUS = 500
DOUBTFUL_CODES = frozenset({"incomplete_body", "digest_mismatch"})
#: What refuses one file refuses all of them: no use in going on.
FATAL_CODES = frozenset(
    {"not_authenticated", "insufficient_scope", "batch_completed", "batch_sealed", "batch_cancelled"}
)


class PortalError(Exception):
    """Root of all that this package raises; `code` is the portal's, or one of ours."""

    code: str = "failed"


class Unreachable(PortalError):
    """No usable answer came for as long as the client's patience lasts."""

    code = "unreachable"


class Stopped(PortalError):
    """The work was called off; what has been stored stays stored, and running it again goes on."""

    code = "stopped"


class BadAnswer(PortalError):
    """What answered with success is no portal, or one that this package does not understand."""

    code = "bad_answer"


class SourceFailed(PortalError):
    """A local file cannot be handed over; `code` says why: `unreadable`, `source_changed`, `bad_name`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Corrupt(PortalError):
    """What came back is not what was stored: a download or a receipt with another digest."""

    code = "corrupt"


class ApiError(PortalError):
    """A refusal of the portal (RFC 9457): `status`, `code`, `detail`, further `members`, `request_id`, `retry_after`.

    A code that has no class of its own here is an ApiError itself: compare `error.code`.
    """

    code: str = ""
    by_code: ClassVar[dict[str, type["ApiError"]]] = {}

    def __init__(self, status: int, code: str, detail: str, members: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.members = status, code, detail, members
        self.request_id = ""
        #: Seconds that the portal asks to wait for.
        self.retry_after: float | None = None

    def __init_subclass__(cls) -> None:
        ApiError.by_code[cls.code] = cls

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})"

    @property
    def passing(self) -> bool:
        """Whether the same request is worth sending again."""
        if self.code == "quota_exceeded" and self.retry_after is None:
            return False  # nothing that may end makes room enough
        return self.status in PASSING_STATUSES or self.code in PASSING_CODES

    @property
    def doubtful(self) -> bool:
        """Whether it is worth sending again a few times."""
        return self.status == DOUBTFUL_STATUS or self.code in DOUBTFUL_CODES

    @property
    def fatal(self) -> bool:
        """Whether it is not of one file alone; of what would pass, patience has been tried by then."""
        if self.code == "quota_exceeded":
            return self.members.get("quota") == "batch_files"  # of any other, a smaller file may fit
        return self.passing or self.code in FATAL_CODES


class Invalid(ApiError):
    """A field, or a query value, is wrong."""

    code = "invalid"


class NotAuthenticated(ApiError):
    """No token, or one that is wrong, expired or revoked."""

    code = "not_authenticated"


class InsufficientScope(ApiError):
    """The token does not allow this."""

    code = "insufficient_scope"


class NotFound(ApiError):
    """It does not exist, or it is somebody else's."""

    code = "not_found"


class PathTaken(ApiError):
    """A file of this batch has this path already, with other bytes or on its way."""

    code = "path_taken"


class BatchCompleted(ApiError):
    """Nothing joins or leaves a completed batch."""

    code = "batch_completed"


class BatchSealed(ApiError):
    """No file joins a sealed batch."""

    code = "batch_sealed"


class BatchCancelled(ApiError):
    """No file joins a cancelled batch."""

    code = "batch_cancelled"


class BatchNotComplete(ApiError):
    """There is no receipt yet."""

    code = "batch_not_complete"


class SealMismatch(ApiError):
    """The batch does not hold what the seal expects; `members` has the difference."""

    code = "seal_mismatch"


class SessionClosed(ApiError):
    """The session is finalizing or has ended."""

    code = "session_closed"


class MissingParts(ApiError):
    """Finalize with parts missing; `members["missing_parts"]` has the ranges."""

    code = "missing_parts"


class PartConflict(ApiError):
    """The part is stored with other bytes."""

    code = "part_conflict"


class PresignUnsupported(ApiError):
    """The portal's storage signs no URLs."""

    code = "presign_unsupported"


class FileTooLarge(ApiError):
    """Larger than the portal takes."""

    code = "file_too_large"


class Sha256Mismatch(ApiError):
    """The bytes that arrived do not have the digest that was declared."""

    code = "sha256_mismatch"


class BytesDamaged(ApiError):
    """The portal's disk gives back other bytes than were recorded."""

    code = "bytes_damaged"

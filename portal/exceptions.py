"""Every error that the portal names: one tree, each leaf with a `code` that never changes.

The first level is the kind of error; `portal/problems.py` gives each kind its HTTP status, so that a service
never knows one. `detail` is for people, `code` for programs, `extra` holds further members of the answer.
"""


class PortalError(Exception):
    """The root of the tree; never raised itself."""

    code = "error"
    detail = "The request could not be carried out."
    #: Seconds after which the same request is worth another try; None when waiting does not help.
    retry_after: int | None = None

    def __init__(self, detail=None, **extra):
        self.detail = detail or self.detail
        self.extra = extra
        super().__init__(self.detail)


# Kinds


class Invalid(PortalError):
    """The request itself is wrong; `errors` lists what is wrong with which field."""

    code = "invalid"
    detail = "The request is not valid."


class NotAuthenticated(PortalError):
    code = "not_authenticated"
    detail = "Send 'Authorization: Bearer <token>' with a token that is valid."


class Forbidden(PortalError):
    code = "forbidden"
    detail = "This is not allowed."


class NotFound(PortalError):
    """It does not exist, or it is somebody else's: the two cannot be told apart."""

    code = "not_found"
    detail = "There is nothing here that you can see."


class Conflict(PortalError):
    code = "conflict"


class TooLarge(PortalError):
    code = "body_too_large"
    detail = "The body is larger than this endpoint takes."


class LengthMissing(PortalError):
    code = "length_required"
    detail = "Send the body with a Content-Length."


class Unprocessable(PortalError):
    code = "unprocessable"


class TooSlow(PortalError):
    code = "request_timeout"
    detail = "The body came too slowly."


class BadRange(PortalError):
    code = "range_not_satisfiable"
    detail = "The range lies outside the file."


class TooMany(PortalError):
    code = "too_many_requests"
    retry_after = 60


class Unavailable(PortalError):
    """A part of the portal does not answer; nothing was changed and waiting helps."""

    code = "unavailable"
    retry_after = 5


class OutOfSpace(PortalError):
    code = "insufficient_storage"
    detail = "The storage is full."
    retry_after = 60


# Invalid


class MissingParts(Invalid):
    code = "missing_parts"
    detail = "Parts are missing; the session stays open."


class WrongPartSize(Invalid):
    code = "wrong_part_size"


class PartOutOfRange(Invalid):
    code = "part_out_of_range"


class DigestMismatch(Invalid):
    code = "digest_mismatch"
    detail = "The body does not have the digest that was sent with it; nothing was stored."


class BodyIncomplete(Invalid):
    code = "incomplete_body"
    detail = "The body ended early; nothing was stored."


class StreamBroken(Invalid):
    code = "broken_stream"
    detail = "From here on the stream cannot be read; what was stored before stays."


class NotAFile(Invalid):
    code = "not_a_file"
    detail = "Only plain files are taken: no links, no devices, no sparse files."


# Forbidden


class InsufficientScope(Forbidden):
    code = "insufficient_scope"


class CsrfFailed(Forbidden):
    code = "csrf_failed"


# Conflict


class StatusConflict(Conflict):
    """Somebody else moved the row first; nothing was changed."""

    code = "status_conflict"


class PathTaken(Conflict):
    code = "path_taken"
    detail = "Another file of this batch has this path."


class BatchCompleted(Conflict):
    code = "batch_completed"
    detail = "The batch is completed: nothing joins or leaves it."


class BatchSealed(Conflict):
    code = "batch_sealed"
    detail = "The batch is sealed: no file joins it."


class BatchCancelled(Conflict):
    code = "batch_cancelled"
    detail = "The batch was cancelled: no file joins it."


class BatchNotComplete(Conflict):
    code = "batch_not_complete"
    detail = "The batch is not completed, or some of its files are still pending: there is no receipt yet."


class SealMismatch(Conflict):
    code = "seal_mismatch"
    detail = "The batch does not hold what was expected; it is not sealed."


class SessionClosed(Conflict):
    code = "session_closed"
    detail = "The session is no longer open."


class PartConflict(Conflict):
    code = "part_conflict"
    detail = "This part is stored already, with other bytes; the first bytes stay."


class PartBusy(Conflict):
    code = "part_busy"
    detail = "Another request is writing this part."
    retry_after = 5


class PresignUnsupported(Conflict):
    code = "presign_unsupported"
    detail = "The storage takes parts by way of the portal alone."


class FileNotStored(Conflict):
    code = "file_not_stored"
    detail = "The file has no bytes to give: it is not STORED."


class FileBusy(Conflict):
    code = "file_busy"
    detail = "The file is being finalized."
    retry_after = 5


class TooManyEndpoints(Conflict):
    code = "too_many_endpoints"
    detail = "There are as many endpoints as one may have; delete one first."


class EndpointDisabled(Conflict):
    code = "endpoint_disabled"
    detail = "Every endpoint that hears this event is DISABLED: enable one, then replay the event."


class IdempotencyInProgress(Conflict):
    code = "idempotency_in_progress"
    detail = "The first request with this Idempotency-Key is still running."
    retry_after = 2


# Unprocessable


class IdempotencyKeyReused(Unprocessable):
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was sent before, with another request."


class Sha256Mismatch(Unprocessable):
    code = "sha256_mismatch"
    detail = "The bytes do not have the SHA-256 that was declared; the file is FAILED."


class ContentTypeRefused(Unprocessable):
    """`found` is the media type that the bytes have."""

    code = "content_type_refused"
    detail = "Content of this type is not taken here."


class ScanRefused(Unprocessable):
    code = "scan_refused"
    detail = "The scanner refused the content."


# TooMany


class QuotaExceeded(TooMany):
    """`quota` says which: bytes, open_sessions or batch_files; `limit`, `used` and `wanted` are of that."""

    code = "quota_exceeded"
    detail = "This is more than is left of a quota."


class RateLimited(TooMany):
    code = "rate_limited"
    detail = "These are more requests than a token may make; wait."


# TooLarge


class FileTooLarge(TooLarge):
    code = "file_too_large"


# Unavailable


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"
    detail = "The storage does not answer."


class ScannerUnavailable(Unavailable):
    code = "scanner_unavailable"
    detail = "The scanner gives no verdict."


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    detail = "The database does not answer."


class ServerBusy(Unavailable):
    code = "server_busy"
    detail = "The server holds as many requests as it can."


# Failures that a file ends with: stored as `error.code`, raised again by a second finalize


class BytesDamaged(Unprocessable):
    code = "bytes_damaged"
    detail = "Bytes that were stored cannot be read back as they came."


class StorageError(Unprocessable):
    code = "storage_error"
    detail = "The storage failed until the session's lifetime ran out."


class ScanError(Unprocessable):
    code = "scan_error"
    detail = "The scanner gave no verdict until the session's lifetime ran out."

"""Why a call is refused, by kind."""

from portal.exceptions.kinds import Conflict, Forbidden, Invalid, TooLarge, TooMany, Unavailable, Unprocessable

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

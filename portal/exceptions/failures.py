"""What a file ends with as FAILED: kept as its `error.code`, and raised again by a second finalize."""

from portal.exceptions.kinds import Unprocessable


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


class BytesDamaged(Unprocessable):
    code = "bytes_damaged"
    detail = "Bytes that were stored cannot be read back as they came."


class StorageError(Unprocessable):
    code = "storage_error"
    detail = "The storage failed until the session's lifetime ran out."


class ScanError(Unprocessable):
    code = "scan_error"
    detail = "The scanner gave no verdict until the session's lifetime ran out."


#: By their codes.
FAILURES = {
    error.code: error
    for error in (Sha256Mismatch, ContentTypeRefused, ScanRefused, BytesDamaged, StorageError, ScanError)
}

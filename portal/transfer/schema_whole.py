"""The description of the calls that store one whole file each."""

from portal.transfer.schema_parts import (
    BYTES,
    DIGEST_PARAMETERS,
    QUOTA_EXCEEDED,
    SECURITY,
    STRING,
    describe_refusals,
    header_parameter,
    path_parameter,
)

FILE = {"$ref": "#/components/schemas/FileOut"}
ID = {"type": "string", "format": "uuid"}

LENGTH_REQUIRED = "`length_required`: neither a Content-Length nor chunked; nothing was stored."

PROBLEMS = {
    400: "`invalid`: a bad path, name, media type or header; `digest_mismatch`; `incomplete_body` when it broke off; "
    "nothing was stored.",
    401: "No valid credentials.",
    403: "The token has not the scope `upload`, or the CSRF token is missing.",
    405: "Another method.",
    408: "The body came too slowly.",
    411: LENGTH_REQUIRED,
    413: "`file_too_large`: more than `max_file_size_bytes`.",
    422: "`content_type_refused`, `scan_refused`: the portal does not take this content; nothing was stored.",
    429: QUOTA_EXCEEDED,
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The storage or the database does not answer; `scanner_unavailable`: the scanner gives no verdict.",
    507: "The storage is full.",
}
PUT_PROBLEMS = PROBLEMS | {
    404: "No such batch of yours.",
    409: "`path_taken` by a file with other bytes or one that is being uploaded; `batch_sealed`, `batch_completed` or "
    "`batch_cancelled`: no file joins.",
}
POST_PROBLEMS = {status: text for status, text in PROBLEMS.items() if status != 405} | {
    409: "`idempotency_in_progress`: the first request with this key is still running.",
    422: "`idempotency_key_reused`: sent before with another request. `content_type_refused`, `scan_refused`.",
}

LOCATION = {"Location": {"schema": STRING, "description": "The path of the file."}}
REPLAYED = {"Idempotent-Replayed": {"schema": STRING, "description": "`true`: the first answer once more."}}


def describe_whole_files():
    """Return the path items of the calls that store one whole file each."""
    return {
        "/batches/{batch_id}/files/{path}": {"put": _put_file()},
        "/files": {"post": _post_file()},
    }


def _put_file():
    path = {"type": "string", "description": "All that follows, slashes included; percent-decoded once."}
    return {
        "operationId": "put_batch_file",
        "tags": ["batches"],
        "summary": "Store one file of a batch in one request",
        "description": "The raw body, sized or chunked, becomes the file of this path. 201 means: on stable storage, "
        "recorded and counted. Again with the same bytes: 200 with the same file. A FAILED file of this path is opened "
        "again.",
        "parameters": [path_parameter("batch_id", ID), path_parameter("path", path), *DIGEST_PARAMETERS],
        "requestBody": {"required": True, "content": BYTES},
        "responses": _stored("The file was stored before, with these bytes.") | describe_refusals(PUT_PROBLEMS),
        "security": SECURITY,
    }


def _post_file():
    name = header_parameter("Content-Disposition", "`attachment; filename=...` (RFC 6266): the name of the file.")
    return {
        "operationId": "post_file",
        "tags": ["files"],
        "summary": "Store one file without a batch in one request",
        "description": "The raw body, sized or chunked, becomes a file. 201 means: on stable storage and recorded. "
        "With an Idempotency-Key the same request again makes no second file.",
        "parameters": [name | {"required": True}, header_parameter("Idempotency-Key"), *DIGEST_PARAMETERS],
        "requestBody": {"required": True, "content": BYTES},
        "responses": _stored("The key was sent before, with these bytes.", REPLAYED) | describe_refusals(POST_PROBLEMS),
        "security": SECURITY,
    }


def _stored(again, headers=None):
    """Return the two answers of success."""
    content = {"application/json": {"schema": FILE}}
    return {
        "201": {"description": "The file is stored.", "headers": LOCATION, "content": content},
        "200": {"description": again, **({"headers": headers} if headers else {}), "content": content},
    }

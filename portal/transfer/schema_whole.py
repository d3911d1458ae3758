"""The description of the calls that store whole files."""

from portal.transfer.schema_parts import (
    BYTES,
    CONTENT_DIGEST,
    QUOTA_EXCEEDED,
    RATE_LIMITED,
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

MANY_PROBLEMS = {
    400: "`invalid`: a bad header, a form without its boundary, or a `Content-Digest` or `Repr-Digest` of the whole.",
    401: "No valid credentials.",
    403: "The token has not the scope `upload`, or the CSRF token is missing.",
    404: "No such batch of yours.",
    409: "`batch_completed`, `batch_sealed` or `batch_cancelled`: it takes no file at all any more.",
    411: LENGTH_REQUIRED,
    429: RATE_LIMITED,
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The storage or the database does not answer.",
    507: "The storage is full.",
}

NO_DIGEST = (
    "`Content-Digest` and `Repr-Digest` are refused here: what comes is stored and told of before the whole is there."
)

NULLABLE = {"type": ["string", "null"]}
RESULT = {
    "type": "object",
    "required": ["path", "status", "file_id", "sha256", "size_bytes"],
    "properties": {
        "path": NULLABLE
        | {"description": "As it was stored; of a refused member its name. `null`: it cannot be read, or between two."},
        "status": {"type": "string", "enum": ["STORED", "REJECTED"]},
        "file_id": NULLABLE,
        "sha256": NULLABLE,
        "size_bytes": {"type": ["integer", "null"]},
        "error": {
            "type": "object",
            "required": ["code", "detail"],
            "properties": {"code": STRING, "detail": STRING},
        },
    },
}
RESULTS = {
    "type": "object",
    "required": ["results"],
    "properties": {"results": {"type": "array", "items": RESULT}},
}

LOCATION = {"Location": {"schema": STRING, "description": "The path of the file."}}
REPLAYED = {"Idempotent-Replayed": {"schema": STRING, "description": "`true`: the first answer once more."}}


def describe_whole_files():
    """Return the path items of the calls that store whole files."""
    return {
        "/batches/{batch_id}/files": {"post": _post_files()},
        "/batches/{batch_id}/files/{path}": {"put": _put_file()},
        "/batches/{batch_id}/manifest": {"put": _put_manifest()},
        "/files": {"post": _post_file()},
    }


def _post_files():
    form = {"description": "Fields that have a file name; others are ignored."}
    return {
        "operationId": "post_batch_files",
        "tags": ["batches"],
        "summary": "Store many files of a batch in one request",
        "description": "Each member of a tar, and each file field of a form, is stored as it comes in; its name is the "
        "path. Folders and other fields are skipped. A result for each member, in order: a REJECTED one never joins or "
        "counts, and does not hold up the others. Codes are those of a single file, and `not_a_file` for links, "
        "devices and sparse files. A stream that breaks off or cannot be read (`broken_stream`, `incomplete_body`, "
        "`request_timeout`) ends with one REJECTED result; what came whole before it stays. With `Accept: "
        "application/x-ndjson` each result is a line that comes as soon as the file is durable: read while you send. "
        f"{NO_DIGEST}",
        "parameters": [path_parameter("batch_id", ID)],
        "requestBody": {
            "required": True,
            "content": {"application/x-tar": {"schema": {}}, "multipart/form-data": {"schema": form}},
        },
        "responses": {
            "200": {
                "description": "A result for each member; a REJECTED one has `not_a_file`, `broken_stream` or a "
                "code of a single file.",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/MemberResults"}},
                    "application/x-ndjson": {"schema": {}},
                },
            },
            **describe_refusals(MANY_PROBLEMS),
        },
        "security": SECURITY,
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
        "parameters": [path_parameter("batch_id", ID), path_parameter("path", path), *_digests()],
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
        "parameters": [name | {"required": True}, header_parameter("Idempotency-Key"), *_digests()],
        "requestBody": {"required": True, "content": BYTES},
        "responses": _stored("The key was sent before, with these bytes.", REPLAYED) | describe_refusals(POST_PROBLEMS),
        "security": SECURITY,
    }


def _put_manifest():
    results = {"$ref": "#/components/schemas/DeclareResults"}
    problems = {status: text for status, text in MANY_PROBLEMS.items() if status not in (409, 507)}
    return {
        "operationId": "put_manifest",
        "tags": ["batches"],
        "summary": "Declare any number of files",
        "description": "A line of JSON for each file, as in the call that declares up to 1,000: `path`, "
        "`total_size_bytes`, and if you like `sha256` and `content_type`. A result for each line, in order; one that "
        "cannot be read is `rejected` and the others go on. A stream that breaks off ends with one `rejected` result; "
        "what was told before stays. With `Accept: application/x-ndjson` each result is a line that comes as soon as "
        "its file is on record. "
        f"{NO_DIGEST}",
        "parameters": [path_parameter("batch_id", ID)],
        # Whatever its media type says; an empty one declares nothing.
        "requestBody": {"required": False, "content": {"application/x-ndjson": {"schema": {}}, **BYTES}},
        "responses": {
            "200": {
                "description": "A result for each line.",
                "content": {"application/json": {"schema": results}, "application/x-ndjson": {"schema": {}}},
            },
            **describe_refusals(
                problems
                | {400: "`invalid`: a bad header, or a `Content-Digest` or `Repr-Digest`.", 405: "Another method."}
            ),
        },
        "security": SECURITY,
    }


def _digests():
    return [header_parameter(name, CONTENT_DIGEST) for name in ("Content-Digest", "Repr-Digest")]


def _stored(again, headers=None):
    """Return the two answers of success."""
    content = {"application/json": {"schema": FILE}}
    return {
        "201": {"description": "The file is stored.", "headers": LOCATION, "content": content},
        "200": {"description": again, **({"headers": headers} if headers else {}), "content": content},
    }

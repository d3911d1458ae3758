"""The description of the calls that store, or declare, many files in one request."""

from portal.transfer.schema_parts import (
    BYTES,
    DIGEST_PARAMETERS,
    RATE_LIMITED,
    SECURITY,
    STRING,
    describe_refusals,
    path_parameter,
)
from portal.transfer.schema_whole import ID, LENGTH_REQUIRED

MANY_PROBLEMS = {
    400: "`invalid`: a bad header, or a form without its boundary; with a digest also `digest_mismatch`, and "
    "`incomplete_body` when it broke off: nothing was stored.",
    401: "No valid credentials.",
    403: "The token has not the scope `upload`, or the CSRF token is missing.",
    404: "No such batch of yours.",
    408: "With a digest: the body came too slowly; nothing was stored.",
    409: "`batch_completed`, `batch_sealed` or `batch_cancelled`: it takes no file at all any more.",
    411: LENGTH_REQUIRED,
    429: RATE_LIMITED,
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The storage or the database does not answer.",
    507: "The storage is full; with a digest also the disk where the body is held.",
}

#: What the descriptions say of Content-Digest and Repr-Digest.
OF_DIGESTS = (
    "With `Content-Digest` or `Repr-Digest` nothing is looked at before the whole has come and has that digest: until "
    "then it is held in a temporary file, and the first result comes after."
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


def describe_many_files():
    """Return the path items of the calls that store, or declare, many files in one request."""
    return {
        "/batches/{batch_id}/files": {"post": _post_files()},
        "/batches/{batch_id}/manifest": {"put": _put_manifest()},
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
        f"{OF_DIGESTS}",
        "parameters": [path_parameter("batch_id", ID), *DIGEST_PARAMETERS],
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


def _put_manifest():
    results = {"$ref": "#/components/schemas/DeclareResults"}
    problems = {status: text for status, text in MANY_PROBLEMS.items() if status != 409}
    return {
        "operationId": "put_manifest",
        "tags": ["batches"],
        "summary": "Declare any number of files",
        "description": "A line of JSON for each file, as in the call that declares up to 1,000: `path`, "
        "`total_size_bytes`, and if you like `sha256` and `content_type`. A result for each line, in order; one that "
        "cannot be read is `rejected` and the others go on. A stream that breaks off ends with one `rejected` result; "
        "what was told before stays. With `Accept: application/x-ndjson` each result is a line that comes as soon as "
        "its file is on record. "
        f"{OF_DIGESTS}",
        "parameters": [path_parameter("batch_id", ID), *DIGEST_PARAMETERS],
        # Whatever its media type says; an empty one declares nothing.
        "requestBody": {"required": False, "content": {"application/x-ndjson": {"schema": {}}, **BYTES}},
        "responses": {
            "200": {
                "description": "A result for each line.",
                "content": {"application/json": {"schema": results}, "application/x-ndjson": {"schema": {}}},
            },
            **describe_refusals(
                problems
                | {
                    400: "`invalid`: a bad header; with a digest also `digest_mismatch` and `incomplete_body`: nothing "
                    "was declared.",
                    405: "Another method.",
                    507: "With a digest: the disk where the body is held is full.",
                }
            ),
        },
        "security": SECURITY,
    }

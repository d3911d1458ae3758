"""The byte door's part of the OpenAPI description; drf-spectacular sees Django's views alone."""

from portal.transfer.schema_live import describe_stream
from portal.transfer.schema_many import RESULTS, describe_many_files
from portal.transfer.schema_parts import (
    BYTES,
    CONTENT_DIGEST,
    RATE_LIMITED,
    SECURITY,
    SECURITY_SCHEMES,
    STRING,
    describe_refusals,
    header_parameter,
    join_operations,
    path_parameter,
)
from portal.transfer.schema_whole import describe_whole_files

PART = {
    "type": "object",
    "required": ["part_number", "size_bytes", "digest"],
    "properties": {
        "part_number": {"type": "integer", "minimum": 1},
        "size_bytes": {"type": "integer", "minimum": 0},
        "digest": {
            "type": "object",
            "required": ["algorithm", "value"],
            "properties": {"algorithm": {"type": "string", "enum": ["blake3"]}, "value": STRING},
        },
    },
}

PUT_PROBLEMS = {
    400: "`wrong_part_size` (with `expected_size_bytes`), `part_out_of_range`, `digest_mismatch`, or `incomplete_body` "
    "when it broke off; nothing was stored.",
    401: "No valid credentials.",
    403: "The token has not the scope `upload`, or the CSRF token is missing.",
    404: "No such session of yours.",
    405: "Another method.",
    408: "The body came too slowly.",
    409: "`part_conflict`, `part_busy` or `session_closed`.",
    411: "`length_required`: no Content-Length, or a chunked body.",
    429: RATE_LIMITED,
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The storage or the database does not answer.",
    507: "The storage is full.",
}
GET_PROBLEMS = {
    400: "An unknown host.",
    401: "No valid credentials.",
    403: "The token has not the scope `read` or `service`.",
    404: "No such file of yours.",
    405: "Another method.",
    409: "`file_not_stored`.",
    412: "The file is not the one that If-Match names.",
    416: "The range lies outside the file.",
    429: RATE_LIMITED,
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The storage or the database does not answer.",
}


def add_byte_routes(result, generator, request, public):
    """Add the path items of `portal.transfer.app.ROUTES` to the description `result`; a spectacular hook."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).setdefault("StoredPart", PART)
    components["schemas"].setdefault("MemberResults", RESULTS)
    schemes = components.setdefault("securitySchemes", {})
    for name, scheme in SECURITY_SCHEMES.items():
        schemes.setdefault(name, scheme)
    result["paths"]["/uploads/sessions/{id}/parts/{n}"] = {"put": _put_part()}
    content = {"get": _content("get_content"), "head": _content("head_content", with_body=False)}
    result["paths"]["/files/{id}/content"] = content
    result["paths"]["/batches/{id}/stream"] = describe_stream()
    for path, item in (describe_many_files() | describe_whole_files()).items():
        known = result["paths"].setdefault(path, {})
        for method, operation in item.items():
            known[method] = join_operations(known[method], operation) if method in known else operation
    return result


def _put_part():
    return {
        "operationId": "put_part",
        "tags": ["uploads"],
        "summary": "Store one part",
        "description": "Stores part n from the raw body. 200 means: on stable storage and recorded. Again with the "
        "same bytes: the same answer.",
        "parameters": [
            path_parameter("id", {"type": "string", "format": "uuid"}),
            path_parameter("n", {"type": "integer", "minimum": 1}),
            # `Content-Length` is the client's own to set; naming it as a parameter would make tools send a wrong one.
            header_parameter("Content-Digest", CONTENT_DIGEST),
        ],
        "requestBody": {"required": True, "content": BYTES},
        "responses": {
            "200": {
                "description": "The part is stored.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StoredPart"}}},
            },
            **describe_refusals(PUT_PROBLEMS),
        },
        "security": SECURITY,
    }


def _content(operation_id, *, with_body=True):
    body = {"content": BYTES} if with_body else {}
    headers = ("ETag", "Repr-Digest", "Content-Disposition", "Accept-Ranges")
    described = {name: {"schema": STRING} for name in headers}
    responses = {"200": {"description": "The whole file.", "headers": described, **body}}
    if with_body:
        described = described | {"Content-Range": {"schema": STRING}}
        responses["206"] = {"description": "The range that was asked for.", "headers": described, **body}
    responses["304"] = {"description": "The client has these bytes already."}
    names = ("If-Match", "If-None-Match", *(("Range", "If-Range") if with_body else ()))
    problems = GET_PROBLEMS if with_body else {k: v for k, v in GET_PROBLEMS.items() if k != 416}
    return {
        "operationId": operation_id,
        "tags": ["files"],
        "summary": "The bytes of a file" if with_body else "The headers of a file's bytes",
        "parameters": [
            path_parameter("id", {"type": "string", "format": "uuid"}),
            *(header_parameter(name) for name in names),
        ],
        "responses": responses | describe_refusals(problems, with_body=with_body),
        "security": SECURITY,
    }

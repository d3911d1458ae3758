"""The byte door's part of the OpenAPI description; drf-spectacular sees Django's views alone."""

#: The schemes by name; added to the description unless Django's views have described them already.
SECURITY_SCHEMES = {
    "bearerAuth": {"type": "http", "scheme": "bearer"},
    "cookieAuth": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
}
SECURITY: list[dict] = [{name: []} for name in SECURITY_SCHEMES]

STRING = {"type": "string"}
BYTES: dict = {"application/octet-stream": {"schema": {}}}

CONTENT_DIGEST = "`sha-256=:<base64>:` (RFC 9530); a mismatch is 400 `digest_mismatch`, and nothing is stored."

#: The header that goes with a refusal of each status.
REFUSAL_HEADERS = {
    401: ("WWW-Authenticate", "`Bearer`"),
    405: ("Allow", "The methods that this path takes."),
    409: ("Retry-After", "Seconds to wait, where waiting helps."),
    416: ("Content-Range", "`bytes */<size of the file>`"),
    503: ("Retry-After", "Seconds to wait."),
    507: ("Retry-After", "Seconds to wait."),
}

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
    500: "A fault of the portal; the request id finds it in the log.",
    503: "The storage or the database does not answer.",
}


def add_byte_routes(result, generator, request, public):
    """Add the path items of `portal.transfer.app.ROUTES` to the description `result`; a spectacular hook."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).setdefault("StoredPart", PART)
    schemes = components.setdefault("securitySchemes", {})
    for name, scheme in SECURITY_SCHEMES.items():
        schemes.setdefault(name, scheme)
    result["paths"]["/uploads/sessions/{id}/parts/{n}"] = {"put": _put_part()}
    content = {"get": _content("get_content"), "head": _content("head_content", with_body=False)}
    result["paths"]["/files/{id}/content"] = content
    return result


def _put_part():
    return {
        "operationId": "put_part",
        "tags": ["uploads"],
        "summary": "Store one part",
        "description": "Stores part n from the raw body. 200 means: on stable storage and recorded. Again with the "
        "same bytes: the same answer.",
        "parameters": [
            _path("id", {"type": "string", "format": "uuid"}),
            _path("n", {"type": "integer", "minimum": 1}),
            # `Content-Length` is the client's own to set; naming it as a parameter would make tools send a wrong one.
            _header("Content-Digest", CONTENT_DIGEST),
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
        "parameters": [_path("id", {"type": "string", "format": "uuid"}), *(_header(name) for name in names)],
        "responses": responses | describe_refusals(problems, with_body=with_body),
        "security": SECURITY,
    }


def _path(name, schema):
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header(name, description=""):
    parameter = {"name": name, "in": "header", "schema": STRING}
    return parameter | ({"description": description} if description else {})


def describe_refusals(sentences, *, with_body=True):
    """Return the responses of the refusals in `sentences`, by status: each a problem, with the headers it goes with."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): _refusal(status, text, content if with_body else {}) for status, text in sentences.items()}


def _refusal(status, text, content):
    headers = {}
    if status in REFUSAL_HEADERS:
        name, meaning = REFUSAL_HEADERS[status]
        headers = {"headers": {name: {"description": meaning, "schema": STRING}}}
    return {"description": text, **headers, **({"content": dict(content)} if content else {})}

"""What the descriptions of the byte door's operations share."""

#: The schemes by name; added to the description unless Django's views have described them already.
SECURITY_SCHEMES = {
    "bearerAuth": {"type": "http", "scheme": "bearer"},
    "cookieAuth": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
}
SECURITY: list[dict] = [{name: []} for name in SECURITY_SCHEMES]

STRING = {"type": "string"}
BYTES: dict = {"application/octet-stream": {"schema": {}}}

CONTENT_DIGEST = "`sha-256=:<base64>:` (RFC 9530); a mismatch is 400 `digest_mismatch`, and nothing is stored."

#: What any caller may meet.
RATE_LIMITED = "`rate_limited`: more requests than a token may make."
QUOTA_EXCEEDED = "`quota_exceeded`: `quota` says which; or `rate_limited`."

#: The header that goes with a refusal of each status.
REFUSAL_HEADERS = {
    401: ("WWW-Authenticate", "`Bearer`"),
    405: ("Allow", "The methods that this path takes."),
    409: ("Retry-After", "Seconds to wait, where waiting helps."),
    416: ("Content-Range", "`bytes */<size of the file>`"),
    429: ("Retry-After", "Seconds to wait, where waiting helps."),
    503: ("Retry-After", "Seconds to wait."),
    507: ("Retry-After", "Seconds to wait."),
}


def path_parameter(name, schema):
    """Return a placeholder of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def header_parameter(name, description=""):
    """Return a header that a client may send."""
    parameter = {"name": name, "in": "header", "schema": STRING}
    return parameter | ({"description": description} if description else {})


#: The two digests of a body that is stored, or read, as it is.
DIGEST_PARAMETERS = [header_parameter(name, CONTENT_DIGEST) for name in ("Content-Digest", "Repr-Digest")]


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


def join_operations(known, ours):
    """Return one operation for a call that both doors answer, each for media types of its own."""
    body = {"required": True, "content": known["requestBody"]["content"] | ours["requestBody"]["content"]}
    texts = [operation.get("description", "") for operation in (known, ours)]
    names = {(parameter["in"], parameter["name"]) for parameter in known.get("parameters", [])}
    others = [parameter for parameter in ours["parameters"] if (parameter["in"], parameter["name"]) not in names]
    responses = dict(known["responses"])
    for status, response in ours["responses"].items():
        responses[status] = _join_responses(responses[status], response) if status in responses else response
    return known | {
        "description": "\n\n".join(filter(None, texts)),
        "parameters": [*known.get("parameters", []), *others],
        "requestBody": body,
        "responses": responses,
    }


def _join_responses(known, ours):
    content = ours.get("content", {}) | known.get("content", {})
    for kind in ours.get("content", {}).keys() & known.get("content", {}).keys():
        schemas = [known["content"][kind]["schema"], ours["content"][kind]["schema"]]
        content[kind] = {"schema": schemas[0] if schemas[0] == schemas[1] else {"anyOf": schemas}}
    text = " ".join(dict.fromkeys(filter(None, (known.get("description"), ours.get("description")))))
    return known | ours | {"description": text, **({"content": content} if content else {})}
